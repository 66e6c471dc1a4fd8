#include "ollm/cli/exit_code.h"

#include <cstdio>

namespace ollm::cli {

int exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid_argument:
    case ErrorKind::unsupported:
      return kExitUsage;
    case ErrorKind::not_found:
      return 3;
    case ErrorKind::out_of_budget:
      return 4;
    case ErrorKind::corrupt:
    case ErrorKind::io:
      return 5;
    case ErrorKind::network:
      return 6;
    case ErrorKind::cancelled:
      return kExitInterrupted;
    case ErrorKind::internal:
      return 1;
  }
  return 1;
}

void print_error(const Error& error) {
  std::fprintf(stderr, "ollm: error: %s\n", error.message.c_str());
}

}  // namespace ollm::cli
