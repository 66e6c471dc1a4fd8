// A body of /v1/chat/completions or /v1/completions as a value.
// Leaves to others: the table of its fields (fields.h), what needs a model (encode.h), answers
// (response.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/ollm.h"
#include "ollm/openai/error.h"

namespace ollm::openai {

/// What a body is for.
enum class Route : unsigned { chat = 1, completions = 2 };  // bits, as a field may be of both
/// "/v1/chat/completions", "/v1/completions".
std::string_view path_of(Route route);
/// The route of a path; nothing for another.
std::optional<Route> find_route(std::string_view path);

/// What a body asks for.
struct CompletionRequest {
  Route route = Route::chat;
  std::optional<std::string> model;  // as it was named
  std::vector<Prompt> prompts;       // one of chat, one or more else; each with `n` answers
  GenerateOptions options;           // of each answer; its seed is `seed`, if there is one
  std::optional<std::uint64_t> seed;
  bool max_tokens_given = false;  // whether the body bounds the new tokens, or the settings do
  std::size_t n = 1;              // answers to each prompt
  bool logprobs = false;          // of every new token
  std::size_t top_logprobs = 0;   // and so many of the likeliest beside each
  bool echo = false;              // the prompt in front of each answer
  bool stream = false;
  bool include_usage = false;    // a last chunk of a stream with `usage`
  bool return_progress = false;  // chunks of a stream that tell how far the prompt is read
};

/// Parses a body as far as JSON goes: UTF-8, within the limits of limits.h.
/// Errors: 400, its `param` the member in which it lies; nothing for limits of the whole.
std::optional<RequestError> parse_body(std::string_view text, nlohmann::ordered_json& out);

/// Reads a parsed body; what it leaves out is as in `defaults`, null is left out. The whole of it
/// is checked that needs no model. Errors: 400 with its `param`, the first field that is wrong.
std::optional<RequestError> read_request(const nlohmann::ordered_json& body, Route route,
                                         const GenerateOptions& defaults, CompletionRequest& out);

}  // namespace ollm::openai
