// Results as bodies. Leaves to others: refusals (error.h), pieces of a stream (server/).
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "ollm/ollm.h"
#include "ollm/openai/encode.h"
#include "ollm/openai/request.h"
#include "ollm/openai/text_parts.h"

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

/// What the prompts of a request took together.
struct Usage {
  std::size_t prompt_tokens = 0, cached_tokens = 0, new_tokens = 0;

  void add(const PromptAnswers& answers);
  /// {"prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details"}.
  nlohmann::ordered_json body() const;
};

/// What an answer is called, and by whom it is.
struct AnswerNames {
  std::string id;            // the digits of "chatcmpl-..." and "cmpl-..."
  std::int64_t created = 0;  // seconds since 1970
  std::string model;
  std::string system_fingerprint;          // empty: null
  std::optional<std::uint64_t> seed = {};  // where none was asked for, and something was drawn
};

/// The body of a whole answer as text, put together as its prompts end, in any order: of what was
/// made for a prompt nothing is kept but its text.
class ResponseText {
 public:
  explicit ResponseText(std::size_t prompts) : choices_(prompts) {}

  /// What became of one prompt of `request`.
  void add(const ServedModel& model, const CompletionRequest& request, std::size_t prompt,
           PromptAnswers answers);
  /// Bytes of text up to now.
  std::size_t size() const { return size_; }
  /// The body, when all prompts are in; `more`: members at its end.
  TextParts finish(const CompletionRequest& request, const AnswerNames& names,
                   const nlohmann::ordered_json& more = nlohmann::ordered_json::object()) &&;

 private:
  std::vector<TextParts> choices_;  // of each prompt, with commas between them
  std::size_t size_ = 0;
  Usage usage_;
};

}  // namespace ollm::openai
