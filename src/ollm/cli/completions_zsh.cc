// zsh: a function of _arguments for each command.
#include <fmt/format.h>

#include <algorithm>

#include "ollm/cli/completions.h"

namespace ollm::cli {
namespace {

// In single quotes, with `special` characters of the place behind a backslash.
std::string escaped(const std::string& text, std::string_view special) {
  std::string out;
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
      continue;
    }
    if (special.find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

std::string value_of(const OptionEntry& option) {
  const std::string what = escaped(option.value.empty() ? "value" : option.value, ":\\");
  if (!option.choices.empty()) {
    std::string choices;
    for (const std::string& choice : option.choices)
      choices += (choices.empty() ? "" : " ") + escaped(choice, "() \\");
    return fmt::format(":{}:({})", what, choices);
  }
  return fmt::format(":{}:{}", what, is_path(option) ? "_files" : "");
}

std::string specification(const OptionEntry& option, const std::string& name) {
  std::string others;  // the other names of it are not offered once it was given
  if (!option.repeats) {
    for (const std::string& other : option.names) others += (others.empty() ? "" : " ") + other;
    others = "(" + others + ")";
  }
  const bool value = !option.value.empty();
  return fmt::format("'{}{}{}{}[{}]{}'", others, option.repeats ? "*" : "", name,
                     value && name.starts_with("--") ? "=" : "", escaped(option.summary, "[]:\\"),
                     value ? value_of(option) : "");
}

void write(const CommandEntry& command, const std::string& function, std::string& out) {
  std::string body = fmt::format(
      "{}() {{\n  local state line\n  local -a commands\n"
      "  typeset -A opt_args\n  _arguments -C",
      function);
  for (const OptionEntry& option : command.options) {
    if (option.positional) {
      OptionEntry anything;
      anything.names = option.names;
      anything.value = option.names.front();
      anything.positional = true;
      body +=
          fmt::format(" \\\n    '{}{}'", command.commands.empty() ? "" : "1", value_of(anything));
      continue;
    }
    for (const std::string& name : option.names) body += " \\\n    " + specification(option, name);
  }
  if (command.commands.empty()) {
    out += body + "\n}\n\n";
    return;
  }
  body +=
      " \\\n    '1:command:->command' \\\n    '*:: :->rest'\n  case $state in\n    command)\n"
      "      commands=(\n";
  std::string rest;
  for (const CommandEntry& below : command.commands) {
    body +=
        fmt::format("        '{}:{}'\n", escaped(below.name, ":\\"), escaped(below.summary, ":\\"));
    rest += fmt::format("        {0}) {1}_{0} ;;\n", below.name, function);
    write(below, function + "_" + below.name, out);
  }
  body +=
      "      )\n      _describe command commands\n      ;;\n    rest)\n      case $line[1] in\n" +
      rest + "      esac\n      ;;\n  esac\n}\n\n";
  out += body;
}

}  // namespace

std::string zsh_completions(const CommandEntry& root) {
  std::string out = "#compdef ollm\n# zsh completions of ollm; made by `ollm completions zsh`.\n\n";
  write(root, "_ollm", out);
  // As an autoloaded function the file is the body of _ollm; sourced, it registers itself.
  return out +
         "if [[ $funcstack[1] == _ollm ]]; then\n  _ollm \"$@\"\nelse\n  compdef _ollm ollm\nfi\n";
}

}  // namespace ollm::cli
