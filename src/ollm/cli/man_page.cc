#include "ollm/cli/man_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <string_view>

#include "ollm/load_settings.h"
#include "ollm/ollm.h"

namespace ollm::cli {
namespace {

// A text as roff takes it: hyphens that can be searched for, no line that is a request.
std::string roff(std::string_view text) {
  std::string out;
  if (text.starts_with('.') || text.starts_with('\'')) out += "\\&";
  for (const char c : text) {
    switch (c) {
      case '\\':
        out += "\\(rs";
        break;
      case '-':
        out += "\\-";
        break;
      case '~':
        out += "\\(ti";
        break;
      case '^':
        out += "\\(ha";
        break;
      case '"':  // would end an argument of a request
        out += "\\(dq";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

// A summary as a sentence.
std::string sentence(const std::string& summary) {
  if (summary.empty()) return "";
  std::string text = roff(summary);
  if (std::islower(static_cast<unsigned char>(text.front())) != 0)
    text.front() = static_cast<char>(std::toupper(static_cast<unsigned char>(text.front())));
  return text + ".";
}

std::string head(const std::string& name, const std::string& summary) {
  return fmt::format(
      "'\\\" made by ollm man\n.TH \"{}\" 1 \"\" \"ollm {}\" \"ollm\"\n.SH NAME\n{} \\- {}\n",
      roff(upper(name)), version(), roff(name), roff(summary));
}

void write_option(const OptionEntry& option, std::string& out) {
  std::string names;
  for (const std::string& name : option.names) {
    names += (names.empty() ? "" : ", ") +
             (option.positional ? "\\fI" + roff(name) + "\\fR" : "\\fB" + roff(name) + "\\fR");
  }
  if (!option.value.empty() && !option.positional)
    names += " \\fI" + roff(option.value.substr(0, option.value.find(':'))) + "\\fR";
  out += ".TP\n" + names + "\n" + sentence(option.summary) + "\n";
  for (const std::string& note : notes_of(option)) out += ".br\n" + sentence(note) + "\n";
}

void write_options(const CommandEntry& command, std::string& out) {
  std::vector<std::string> groups;
  for (const OptionEntry& option : command.options)
    if (std::find(groups.begin(), groups.end(), option.group) == groups.end())
      groups.push_back(option.group);
  for (const std::string& group : groups) {
    out += ".SS \"" + roff(group) + "\"\n";
    for (const OptionEntry& option : command.options)
      if (option.group == group) write_option(option, out);
  }
}

std::string synopsis(const CommandEntry& command, const std::string& path) {
  std::string line = ".B " + roff(path) + "\n";
  if (!command.commands.empty()) return line + ".I command\n[\\fIoptions\\fR]\n";
  line += "[\\fIoptions\\fR]\n";
  for (const OptionEntry& option : command.options)
    if (option.positional) line += "[\\fI" + roff(option.names.front()) + "\\fR]\n";
  return line;
}

constexpr std::string_view kExitStatus =
    ".SH \"EXIT STATUS\"\n"
    ".TP\n0\nSuccess.\n"
    ".TP\n1\nA fault of ollm itself, or a check that failed.\n"
    ".TP\n2\nUsage: what was asked for makes no sense, or is not supported.\n"
    ".TP\n3\nThe model is missing or incomplete.\n"
    ".TP\n4\nIt will not fit into the memory that was granted.\n"
    ".TP\n5\nA file is corrupt, or the system could not read or write.\n"
    ".TP\n6\nThe network, or an authorization.\n"
    ".TP\n130\nInterrupted.\n";

std::string environment() {
  std::string out =
      ".SH ENVIRONMENT\nA setting comes from the command line, else from the environment, else "
      "from "
      "the settings file, else it is the default.\n"
      ".TP\n.B OLLM_CONFIG_FILE\nThe settings file, instead of ollm.toml.\n"
      ".TP\n.B OLLM_NOW\nThe local time that chat templates see, as in 2026\\-01\\-15T10:30:00.\n"
      ".TP\n.B NO_COLOR\nIf set and not empty, errors are not colored.\n";
  for (const SettingsField& field : settings_fields()) {
    out += fmt::format(".TP\n.B {}\n{}\nTakes {}.\n", roff(field.environment_name()),
                       sentence(std::string(field.summary)), roff(field.expects()));
  }
  for (const settings::EnvironmentAlias& alias : settings::environment_aliases()) {
    out += fmt::format(".TP\n.B {}\nAnother name of the setting {}.\n", roff(alias.variable),
                       roff(alias.field));
  }
  return out;
}

}  // namespace

std::string man_page(const CommandEntry& root) {
  std::string out = head(root.name, root.summary);
  out += ".SH SYNOPSIS\n" + synopsis(root, root.name);
  out += ".SH COMMANDS\n";
  for (const CommandEntry& command : root.commands) {
    out += fmt::format(".TP\n\\fB{0}\\fR\n{1}\nSee\n.BR ollm\\-{0} (1).\n", roff(command.name),
                       sentence(command.summary));
  }
  out += ".SH OPTIONS\n";
  write_options(root, out);
  out += kExitStatus;
  out += environment();
  out +=
      ".SH FILES\n.TP\n.I ollm.toml\nSettings, in the working directory: a table for each "
      "section, a key for each setting.\n";
  return out;
}

std::string man_page(const CommandEntry& root, const CommandEntry& command) {
  const std::string name = root.name + "-" + command.name;
  const std::string path = root.name + " " + command.name;
  std::string out = head(name, command.summary);
  out += ".SH SYNOPSIS\n" + synopsis(command, path);
  for (const CommandEntry& below : command.commands)
    out += ".br\n" + synopsis(below, path + " " + below.name);
  out += ".SH DESCRIPTION\n" + sentence(command.summary) + "\n";
  out += ".SH OPTIONS\n";
  write_options(command, out);
  for (const CommandEntry& below : command.commands) {
    out += fmt::format(".SH \"{}\"\n{}\n", roff(upper(below.name)), sentence(below.summary));
    write_options(below, out);
  }
  out += ".SH \"SEE ALSO\"\n.BR ollm (1)\n";
  return out;
}

}  // namespace ollm::cli
