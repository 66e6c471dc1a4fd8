// bash: one function that finds the command by the words before, then offers what it takes.
#include <fmt/format.h>

#include "ollm/cli/completions.h"

namespace ollm::cli {
namespace {

struct Cases {
  std::string paths;   // patterns of all commands: "ollm config"|"ollm config show"
  std::string values;  // of options: what their value may be
  std::string words;   // of commands: flags and commands
};

void collect(const CommandEntry& command, const std::string& path, Cases& cases) {
  std::string flags, commands, patterns;
  bool files = false;
  for (const OptionEntry& option : command.options) {
    if (option.positional) {
      files = true;  // a prompt may be anything, a model may be a folder
      continue;
    }
    std::string pattern;
    for (const std::string& name : option.names) {
      flags += (flags.empty() ? "" : " ") + name;
      pattern += fmt::format("{}'{}|{}'", pattern.empty() ? "" : " | ", path, name);
    }
    if (option.value.empty()) continue;
    std::string choices;
    for (const std::string& choice : option.choices) choices += " " + choice;
    const std::string action =
        is_path(option) ? "compopt -o default"
                        : fmt::format("COMPREPLY=($(compgen -W '{}' -- \"$current\"))", choices);
    cases.values += fmt::format("    {})\n      {}\n      return\n      ;;\n", pattern, action);
  }
  for (const CommandEntry& below : command.commands) {
    commands += (commands.empty() ? "" : " ") + below.name;
    const std::string below_path = path + " " + below.name;
    cases.paths += fmt::format("{}'{}'", cases.paths.empty() ? "" : " | ", below_path);
    collect(below, below_path, cases);
  }
  cases.words += fmt::format(
      "    '{}')\n      flags='{}'\n      commands='{}'\n      files={}\n"
      "      ;;\n",
      path, flags, commands, files ? 1 : 0);
}

}  // namespace

std::string bash_completions(const CommandEntry& root) {
  Cases cases;
  collect(root, root.name, cases);
  return fmt::format(R"(# bash completions of ollm; made by `ollm completions bash`.
_ollm() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD - 1]}}"
  local path=ollm word flags='' commands='' files=0
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "$path $word" in
      {}) path="$path $word" ;;
    esac
  done
  COMPREPLY=()
  case "$path|$previous" in
{}  esac
  case "$path" in
{}  esac
  if [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$current"))
  elif [[ -n $commands ]]; then
    COMPREPLY=($(compgen -W "$commands" -- "$current"))
  elif [[ $files == 1 ]]; then
    compopt -o default
  fi
}}
complete -F _ollm ollm
)",
                     cases.paths, cases.values, cases.words);
}

}  // namespace ollm::cli
