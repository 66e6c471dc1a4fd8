#include "ollm/base/result.h"

namespace ollm {

std::string_view to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid_argument:
      return "invalid_argument";
    case ErrorKind::not_found:
      return "not_found";
    case ErrorKind::unsupported:
      return "unsupported";
    case ErrorKind::corrupt:
      return "corrupt";
    case ErrorKind::io:
      return "io";
    case ErrorKind::out_of_budget:
      return "out_of_budget";
    case ErrorKind::network:
      return "network";
    case ErrorKind::cancelled:
      return "cancelled";
    case ErrorKind::internal:
      return "internal";
  }
  return "internal";
}

Error Error::within(std::string_view where) && {
  message.insert(0, ": ");
  message.insert(0, where);
  return std::move(*this);
}

Error fail(ErrorKind kind, std::string message) { return Error{kind, std::move(message)}; }

}  // namespace ollm
