// From an error to what the shell sees (docs/commands.md, "Exit codes").
#pragma once

#include <string_view>

#include "ollm/base/result.h"

namespace ollm::cli {

inline constexpr int kExitUsage = 2;
inline constexpr int kExitInterrupted = 130;

int exit_code(ErrorKind kind);

/// "ollm: error: MESSAGE" on stderr; of what the caller stopped, that it was stopped.
void print_error(const Error& error);

/// "ollm: warning: MESSAGE" on stderr: what goes on, and maybe not as one may think.
void print_warning(std::string_view message);

/// The exit code of the process, after all of standard output was written; another where it could
/// not be (a full disk), which is told.
int finish_output(int code);

}  // namespace ollm::cli
