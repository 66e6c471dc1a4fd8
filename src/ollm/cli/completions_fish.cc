// fish: a line for each flag, with the command that it belongs to as a condition.
#include <fmt/format.h>

#include <string>

#include "ollm/cli/completions.h"

namespace ollm::cli {
namespace {

std::string in_quotes(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

// A condition in which `command` was chosen, and none of its own commands.
std::string condition_of(const CommandEntry& command, const std::string& chosen) {
  std::string below;
  for (const CommandEntry& entry : command.commands) below += " " + entry.name;
  std::string condition = chosen;
  if (!below.empty())
    condition +=
        (chosen.empty() ? "" : "; and ") + std::string("not __fish_seen_subcommand_from") + below;
  return condition;
}

void write(const CommandEntry& command, const std::string& chosen, std::string& out) {
  const std::string begin =
      fmt::format("complete -c ollm -n {}", in_quotes(condition_of(command, chosen)));
  for (const CommandEntry& below : command.commands) {
    out += fmt::format("{} -a {} -d {}\n", begin, in_quotes(below.name), in_quotes(below.summary));
    write(below,
          chosen + (chosen.empty() ? "" : "; and ") + "__fish_seen_subcommand_from " + below.name,
          out);
  }
  for (const OptionEntry& option : command.options) {
    if (option.positional) {
      out += begin + " -F\n";
      continue;
    }
    out += begin;
    for (const std::string& name : option.names)
      out += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
    if (!option.choices.empty()) {
      std::string choices;
      for (const std::string& choice : option.choices)
        choices += (choices.empty() ? "" : " ") + choice;
      out += " -x -a " + in_quotes(choices);
    } else if (!option.value.empty()) {
      out += is_path(option) ? " -r -F" : " -x";
    }
    out += " -d " + in_quotes(option.summary) + "\n";
  }
}

}  // namespace

std::string fish_completions(const CommandEntry& root) {
  std::string out =
      "# fish completions of ollm; made by `ollm completions fish`.\ncomplete -c ollm -f\n";
  write(root, "", out);
  return out;
}

}  // namespace ollm::cli
