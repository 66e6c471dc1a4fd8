// Completions of the command line for three shells, as scripts that know all commands and flags.
#pragma once

#include <string>

#include "ollm/cli/command_tree.h"

namespace ollm::cli {

/// Needs nothing but bash itself: `source <(ollm completions bash)`.
std::string bash_completions(const CommandEntry& root);
/// A file _ollm in a folder of $fpath.
std::string zsh_completions(const CommandEntry& root);
/// A file ollm.fish in ~/.config/fish/completions.
std::string fish_completions(const CommandEntry& root);

}  // namespace ollm::cli
