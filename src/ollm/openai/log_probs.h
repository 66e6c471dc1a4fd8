// How likely tokens were found, in the two forms of OpenAI's API.
// Leaves to others: the numbers themselves (sampling/log_probs.h in the library).
#pragma once

#include <array>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

#include "ollm/ollm.h"
#include "ollm/openai/encode.h"
#include "ollm/openai/text_parts.h"

namespace ollm::openai {

/// {"content": [{"token", "logprob", "bytes", "top_logprobs"}], "refusal": null}, an entry for each
/// id. A token that is no character by itself reads as U+FFFD; its bytes are exact.
nlohmann::ordered_json chat_log_probs(const ServedModel& model, std::span<const TokenId> ids,
                                      std::span<const sampling::TokenLogProbs> log_probs);
/// The same as text. As values it takes several times as much, so only a few tokens at a time are.
TextParts chat_log_probs_text(const ServedModel& model, std::span<const TokenId> ids,
                              std::span<const sampling::TokenLogProbs> log_probs);

/// {"tokens", "token_logprobs", "top_logprobs", "text_offset"}, each a list with an entry for each
/// token. What is no character by itself is named by its bytes ("bytes:\xe6"), as OpenAI's is;
/// offsets are in characters.
class CompletionLogProbs {
 public:
  /// `top`: how many were asked for beside each; the token itself is always among them.
  /// `characters`: of the text that stands before all of them.
  CompletionLogProbs(const ServedModel& model, std::size_t top, std::size_t characters = 0)
      : model_(model), top_(top), characters_(characters) {}

  /// The tokens of the prompt, of which the first was not expected by anything: `log_probs` are of
  /// the second on. `shown`: its text in the answer, in which what the tokenizer puts in front (a
  /// first token, a space) does not stand.
  void add_prompt(std::span<const TokenId> ids, std::span<const sampling::TokenLogProbs> log_probs,
                  std::string_view shown);
  void add(std::span<const TokenId> ids, std::span<const sampling::TokenLogProbs> log_probs);
  TextParts text() &&;

 private:
  void flush();
  void add_token(TokenId id, const sampling::TokenLogProbs* log_probs);

  const ServedModel& model_;
  const std::size_t top_;
  nlohmann::ordered_json tokens_ = nlohmann::ordered_json::array();
  nlohmann::ordered_json token_logprobs_ = nlohmann::ordered_json::array();
  nlohmann::ordered_json top_logprobs_ = nlohmann::ordered_json::array();
  nlohmann::ordered_json text_offset_ = nlohmann::ordered_json::array();
  std::array<TextParts, 4> texts_;  // of the four lists, what is not in them any more
  std::size_t characters_;
  std::size_t hidden_bytes_ = 0;  // of the tokens that come next, which do not stand in the text
};

}  // namespace ollm::openai
