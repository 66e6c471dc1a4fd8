#include "ollm/openai/request.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "ollm/base/json_cursor.h"
#include "ollm/base/json_reader.h"
#include "ollm/openai/fields.h"
#include "ollm/openai/found.h"

namespace ollm::openai {
namespace {

using Problem = std::optional<RequestError>;

constexpr std::string_view kPaths[] = {"/v1/chat/completions", "/v1/completions"};

constexpr bool is_of(unsigned routes, Route route) {
  return (routes & static_cast<unsigned>(route)) != 0;
}

// Member by member, as it is null or not there.
const Json* given(const Json& body, std::string_view name) {
  const auto found = body.find(name);
  return found == body.end() || found->is_null() ? nullptr : &*found;
}

// JSON has no NaN and no Infinity; our reader knows them, as some files have them.
bool all_finite(const Json& value) {
  if (value.is_number_float()) return std::isfinite(value.get<double>());
  if (!value.is_structured()) return true;
  return std::all_of(value.begin(), value.end(), all_finite);
}

Problem check_unbuilt(const Json& body, Route route) {
  for (const UnbuiltField& field : unbuilt_fields()) {
    const Json* value = is_of(field.routes, route) ? given(body, field.name) : nullptr;
    if (value == nullptr) continue;
    const Json harmless = Json::parse(field.harmless);
    if (std::find(harmless.begin(), harmless.end(), *value) != harmless.end()) continue;
    return refuse(std::string(field.name),
                  fmt::format("is not supported yet, found {}", describe_value(*value)),
                  kUnsupportedParameter);
  }
  return std::nullopt;
}

// What fields mean together.
Problem check_together(const Json& body, const CompletionRequest& request) {
  if (request.route == Route::chat) {
    if (given(body, "max_tokens") != nullptr && given(body, "max_completion_tokens") != nullptr)
      return refuse("max_tokens", "is another name of max_completion_tokens: give one");
    if (request.top_logprobs > 0 && !request.logprobs)
      return refuse("top_logprobs", "is beside logprobs, which is not true here");
  }
  if (given(body, "stream_options") != nullptr && !request.stream)
    return refuse("stream_options", "is for a stream, and stream is not true here");
  return std::nullopt;
}

}  // namespace

std::string_view path_of(Route route) { return kPaths[route == Route::chat ? 0 : 1]; }

std::optional<Route> find_route(std::string_view path) {
  for (const Route route : {Route::chat, Route::completions})
    if (path == path_of(route)) return route;
  return std::nullopt;
}

Problem parse_body(std::string_view text, Json& out) {
  constexpr JsonLimits kLimits{.size_bytes = BodyLimits::kBytes,
                               .depth = BodyLimits::kDepth,
                               .keys_per_object = BodyLimits::kKeysPerObject};
  std::string member;
  Result<Json> parsed = parse_json(text, "body", kLimits, &member);
  if (parsed.ok()) {
    out = std::move(parsed).value();
    return std::nullopt;
  }
  RequestError error = refuse("", parsed.error().message);
  // A limit is of the whole body, wherever it is met.
  if (!member.empty() && parsed.error().kind == ErrorKind::corrupt) error.param = member;
  return error;
}

Problem read_request(const Json& body, Route route, const GenerateOptions& defaults,
                     CompletionRequest& out) {
  if (!body.is_object())
    return refuse("", fmt::format("expected an object, found {}", describe_value(body)),
                  kInvalidType);
  out = CompletionRequest();
  out.route = route;
  out.options = defaults;
  if (auto wrong = check_unbuilt(body, route)) return wrong;
  for (const Field& field : fields()) {
    if (!is_of(field.routes, route)) continue;
    const Json* value = given(body, field.name);
    if (value != nullptr) {
      if (auto wrong = read_field(field, *value, out)) return wrong;
    } else if (field.left_out == kRequired) {
      return refuse(std::string(field.name),
                    fmt::format("is missing: expected {}", field.expects()), kMissingParameter);
    }
  }
  for (const auto& [name, value] : body.items()) {
    if (!all_finite(value))
      return refuse(printable(name), "expected numbers of JSON, found NaN or Infinity");
  }
  return check_together(body, out);
}

}  // namespace ollm::openai
