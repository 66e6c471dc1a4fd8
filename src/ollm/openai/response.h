// Results as bodies. Leaves to others: refusals (error.h), pieces of a stream (server/).
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "ollm/ollm.h"
#include "ollm/openai/encode.h"
#include "ollm/openai/request.h"

namespace ollm::openai {

/// What became of one prompt.
struct PromptAnswers {
  std::vector<Generation> choices;  // `n` of them
  std::size_t prompt_tokens = 0;
  std::size_t cached_tokens = 0;  // of the prompt, whose keys and values were there
  /// Where an echo with log probabilities was asked for: the prompt's ids, and the log
  /// probabilities of the second on.
  ///@{
  std::vector<TokenId> prompt_ids = {};
  std::vector<sampling::TokenLogProbs> prompt_log_probs = {};
  ///@}
};

/// Puts in what the runtime made of it.
void take_answers(Answers made, PromptAnswers& out);

/// {"prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details"} of all of them.
nlohmann::ordered_json usage_body(const std::vector<PromptAnswers>& answers);

/// What an answer is called, and by whom it is.
struct AnswerNames {
  std::string id;            // the digits of "chatcmpl-..." and "cmpl-..."
  std::int64_t created = 0;  // seconds since 1970
  std::string model;
  std::string system_fingerprint;
  std::optional<std::uint64_t> seed = {};  // where none was asked for, and something was drawn
};

/// The body of a whole answer; `answers` has one entry for each prompt of `request`.
nlohmann::ordered_json response_body(const ServedModel& model, const CompletionRequest& request,
                                     const std::vector<PromptAnswers>& answers,
                                     const AnswerNames& names);

}  // namespace ollm::openai
