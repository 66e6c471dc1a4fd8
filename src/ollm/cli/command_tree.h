// The command line as data: what --help prints, taken from the same declarations, for completions
// and manual pages. Leaves to others: their form (completions.h, man_page.h).
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace ollm::cli {

/// One flag, or one positional argument.
struct OptionEntry {
  std::vector<std::string> names;  // "-h", "--help"; of a positional argument one: "MODEL"
  std::string summary;
  std::string value;                 // what its value is, "path"; empty for a flag without one
  std::vector<std::string> choices;  // all values, where they are a list
  std::string default_text;          // "500", "auto"; empty where there is none to tell
  std::string not_built;             // what of it this build refuses, or that it has no effect
  std::string group;                 // the heading in --help
  bool positional = false;
  bool repeats = false;  // may be given several times
};

/// One command with its own options and commands.
struct CommandEntry {
  std::string name;  // "ollm", "config"
  std::string summary;
  std::vector<OptionEntry> options;
  std::vector<CommandEntry> commands;
};

/// All that --help shows of `app` and below: hidden commands are left out.
CommandEntry command_tree(const CLI::App& app);

/// The entry of one option.
OptionEntry option_entry(const CLI::Option& option);

/// What stands below the summary of an option, a sentence each: choices, default, what of it this
/// build refuses.
std::vector<std::string> notes_of(const OptionEntry& option);

/// Whether a value is a path of the file system, by its type's name.
bool is_path(const OptionEntry& option);

}  // namespace ollm::cli
