// What an answer may hold at most, before it is made. Leaves to others: whether there is room for
// it (answer_room.h).
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "ollm/ollm.h"
#include "ollm/openai/request.h"

namespace ollm::server {

struct AnswerSize {
  std::size_t made_bytes = 0;  // while it waits and runs: ids, options, what the model makes
  /// Of the text of a whole answer as tokens have it that are not unusually long; a stream, of what
  /// stands before its client.
  std::size_t text_bytes = 0;
  std::string_view weighs_most;  // the field of the request to ask less of

  std::size_t total() const { return made_bytes + text_bytes; }
};

/// Of a request that was encoded: `ids` are its prompts. `lines`: answers that run at once.
AnswerSize answer_size(const openai::CompletionRequest& request,
                       std::span<const std::vector<TokenId>> ids, std::size_t lines);

}  // namespace ollm::server
