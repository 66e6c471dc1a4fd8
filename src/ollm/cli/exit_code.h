// From an error to what the shell sees (contracts.md, "exit").
#pragma once

#include "ollm/base/result.h"

namespace ollm::cli {

inline constexpr int kExitUsage = 2;
inline constexpr int kExitInterrupted = 130;

int exit_code(ErrorKind kind);

/// "ollm: error: MESSAGE" on stderr.
void print_error(const Error& error);

}  // namespace ollm::cli
