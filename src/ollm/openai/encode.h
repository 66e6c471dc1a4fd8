// A request meets its model: whether it is the one that was named, the ids of its prompts, and
// whether they and the answers have room. Leaves to others: running it.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/ollm.h"
#include "ollm/openai/error.h"
#include "ollm/openai/request.h"

namespace ollm::openai {

/// The model that answers, as far as a request depends on it.
struct ServedModel {
  std::string reference = {};      // as it was given to us
  const Text* text = nullptr;      // of its tokenizer; nullptr: it takes ids alone
  std::size_t vocabulary = 0;      // ids are below
  std::size_t context_tokens = 0;  // that a prompt and its answer may have together

  /// What it is called in answers: an alias or a name of the hub as it was given, of a path the
  /// last component.
  std::string id() const;
  /// Errors: 404 where the request names another one.
  std::optional<RequestError> check(const CompletionRequest& request) const;
};

/// The ids of each prompt of `request`, whose max_new_tokens are bounded by the context where they
/// were the settings'. Errors: 400 for ids or biases outside the vocabulary, messages that the
/// model's template refuses, more tokens than the context has; 404 for another model.
std::optional<RequestError> encode_request(const ServedModel& model, CompletionRequest& request,
                                           std::vector<std::vector<TokenId>>& ids);

/// What is asked of the runtime: a request for each prompt, of which `ids` are the tokens.
/// `cancel` outlives them.
std::vector<Request> runtime_requests(const CompletionRequest& request,
                                      std::vector<std::vector<TokenId>> ids,
                                      const CancellationToken& cancel);

/// The text of a prompt as `echo` shows it: as it was given, or that of its ids.
std::string echoed_text(const ServedModel& model, const Prompt& prompt);

}  // namespace ollm::openai
