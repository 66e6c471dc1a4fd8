// Manual pages from the command line as data. Leaves to others: where they are installed.
#pragma once

#include <string>

#include "ollm/cli/command_tree.h"

namespace ollm::cli {

/// ollm(1): commands, exit codes, settings by their environment variables, files.
std::string man_page(const CommandEntry& root);

/// ollm-NAME(1) of one command and the commands below it.
std::string man_page(const CommandEntry& root, const CommandEntry& command);

}  // namespace ollm::cli
