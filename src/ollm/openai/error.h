// Why a request is refused, or failed, in the form of OpenAI's API.
// Leaves to others: what is wrong with a request (request.h).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "ollm/base/result.h"

namespace ollm::openai {

/// The words of OpenAI's API for `code`, as far as we have a use for them.
///@{
inline constexpr std::string_view kInvalidType = "invalid_type";
inline constexpr std::string_view kInvalidValue = "invalid_value";
inline constexpr std::string_view kMissingParameter = "missing_required_parameter";
inline constexpr std::string_view kUnsupportedParameter = "unsupported_parameter";
inline constexpr std::string_view kUnsupportedValue = "unsupported_value";
inline constexpr std::string_view kContextLength = "context_length_exceeded";
inline constexpr std::string_view kModelNotFound = "model_not_found";
///@}

/// What is answered in place of a result.
struct RequestError {
  int status = 400;                  // of HTTP
  std::string message;               // for people: the field, what was expected and found
  std::optional<std::string> param;  // the field, "messages[2].content"; nothing: the whole body
  std::optional<std::string> code;   // for programs
};

/// A refusal of a field: 400, the message behind the field's name.
RequestError refuse(std::string param, std::string_view message,
                    std::string_view code = kInvalidValue);

/// An error of the library. What the caller of a request can mend is 400, what is not there 404,
/// what another moment may bring 503, all else 500.
RequestError request_error(const Error& error);

/// {"error": {"message", "type", "param", "code"}}.
nlohmann::ordered_json error_body(const RequestError& error);

}  // namespace ollm::openai
