// What a prompt becomes: token ids, checked against the model and what was planned.
// Leaves to others: how a text is encoded (text/), which line the ids go on (session.cc,
// ticket.cc).
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "ollm/runtime/state.h"

namespace ollm::runtime {

/// The tokens of a prompt.
struct PromptIds {
  std::span<const TokenId> ids;
  std::size_t asking_tokens = 0;  // the last of them, with which the template asks for an answer

  /// Where in a line of so many tokens, which ends with these, later ones may begin: before what
  /// asks, as what comes after may ask otherwise; the last token always runs.
  std::size_t entry(std::size_t size) const {
    return size - std::min(size, std::max<std::size_t>(1, asking_tokens));
  }
};

/// The tokens of the prompt: those given, or the text's, which go into `encoded`. `behind_others`:
/// a text is not the beginning of its line. Errors: invalid_argument for several forms in one;
/// not_found where a text meets a model without a tokenizer; those of the tokenizer and the
/// template; out_of_budget for a text that is far longer than what was planned for.
Result<PromptIds> prompt_ids(Runtime::State& runtime, const Prompt& prompt,
                             const TemplateOptions& chat_template, bool behind_others,
                             std::vector<TokenId>& encoded);

/// That ids may go behind so many others. Errors: invalid_argument where there are none, or more
/// than were planned for, or an id is outside the vocabulary.
Result<void> check_ids(const Runtime::State& runtime, std::span<const TokenId> ids,
                       std::size_t before);

}  // namespace ollm::runtime
