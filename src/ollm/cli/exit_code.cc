#include "ollm/cli/exit_code.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "ollm/cli/printed.h"
#include "ollm/cli/terminal.h"

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
  if (error.kind == ErrorKind::cancelled) {  // no error: it was asked for
    std::fputs("ollm: interrupted\n", stderr);
    return;
  }
  const bool color = error_has_color();
  std::fprintf(stderr, "ollm: %serror:%s ", color ? "\033[1;31m" : "", color ? "\033[m" : "");
  print_words(stderr, error.message + "\n");
}

void print_warning(std::string_view message) {
  print_words(stderr, fmt::format("ollm: warning: {}\n", message));
}

int finish_output(int code) {
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
  // Of an earlier write that failed there is no number any more.
  std::string message = "standard output could not be written";
  if (errno != 0) message += std::string(": ") + std::strerror(errno);
  const Error error = fail(ErrorKind::io, std::move(message));
  print_error(error);
  return exit_code(error.kind);
}

}  // namespace ollm::cli
