#include "ollm/openai/error.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

namespace ollm::openai {
namespace {

using Json = nlohmann::ordered_json;

int status_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid_argument:
    case ErrorKind::unsupported:
      return 400;
    case ErrorKind::not_found:
      return 404;
    case ErrorKind::out_of_budget:
    case ErrorKind::cancelled:
      return 503;
    case ErrorKind::corrupt:
    case ErrorKind::io:
    case ErrorKind::network:
    case ErrorKind::internal:
      return 500;
  }
  return 500;
}

Json or_null(const std::optional<std::string>& text) { return text ? Json(*text) : Json(); }

}  // namespace

RequestError refuse(std::string param, std::string_view message, std::string_view code) {
  RequestError error;
  error.message = param.empty() ? std::string(message) : fmt::format("{}: {}", param, message);
  if (!param.empty()) error.param = std::move(param);
  error.code = code;
  return error;
}

RequestError request_error(const Error& error) {
  return {.status = status_of(error.kind),
          .message = error.message,
          .param = std::nullopt,
          .code = std::string(to_string(error.kind))};
}

Json error_body(const RequestError& error) {
  const char* type = error.status < 500 ? "invalid_request_error" : "server_error";
  return {{"error",
           {{"message", error.message},
            {"type", type},
            {"param", or_null(error.param)},
            {"code", or_null(error.code)}}}};
}

}  // namespace ollm::openai
