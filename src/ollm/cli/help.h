// The form of --help: what an option takes, its choices, its default, and what of it this build
// refuses, from the same entries as manual pages. Leaves to others: the entries (command_tree.h).
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace ollm::cli {

/// Gives `app`, and the commands that are added to it from now on, the form of our help.
void use_help_form(CLI::App& app);

/// What --help prints for `command`.
std::string help_of(const CLI::App& command);

}  // namespace ollm::cli
