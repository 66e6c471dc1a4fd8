// What an answer goes on from: `messages` of a chat, `prompt` of a completion.
// Leaves to others: all other fields (fields.h), ids of texts (encode.h).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "ollm/openai/error.h"
#include "ollm/openai/request.h"

namespace ollm::openai {

/// A list of {"role", "content"}; the content is a text, or a list of parts of type text, which are
/// joined by line ends, as vLLM and llama.cpp join them. `developer` is `system`. The last message
/// is the user's, or a tool's.
std::optional<RequestError> read_messages(const nlohmann::ordered_json& value,
                                          CompletionRequest& out);

/// A text, a list of texts, a list of ids, or a list of lists of ids.
std::optional<RequestError> read_prompt(const nlohmann::ordered_json& value,
                                        CompletionRequest& out);

}  // namespace ollm::openai
