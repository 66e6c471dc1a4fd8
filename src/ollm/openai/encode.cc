#include "ollm/openai/encode.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "ollm/base/json_cursor.h"
#include "ollm/openai/fields.h"

namespace ollm::openai {
namespace {

using Problem = std::optional<RequestError>;

std::string prompt_param(const CompletionRequest& request, std::size_t index) {
  if (request.route == Route::chat) return "messages";
  return request.prompts.size() == 1 ? "prompt" : fmt::format("prompt[{}]", index);
}

Problem check_ids(const std::vector<TokenId>& ids, std::size_t vocabulary,
                  const std::string& param) {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (static_cast<std::size_t>(ids[i]) < vocabulary) continue;
    return refuse(fmt::format("{}[{}]", param, i),
                  fmt::format("the model has ids 0 to {}, found {}", vocabulary - 1, ids[i]));
  }
  return std::nullopt;
}

// Every option but the biases was checked by the table.
Problem check_biases(const CompletionRequest& request, std::size_t vocabulary) {
  for (const auto& [id, bias] : request.options.sampling.logit_bias) {
    if (static_cast<std::size_t>(id) < vocabulary) continue;
    return refuse("logit_bias",
                  fmt::format("the model has ids 0 to {}, found {}", vocabulary - 1, id));
  }
  return std::nullopt;
}

// No token of any published tokenizer is longer: what is, is too long before it is encoded, which
// takes many times its size.
constexpr std::size_t kMostTokenBytes = 1024;

Problem check_size(const ServedModel& model, const Prompt& prompt, const std::string& param) {
  std::size_t bytes = prompt.text ? prompt.text->size() : 0;
  for (const Message& message : prompt.messages) bytes += message.content.size();
  if (bytes / kMostTokenBytes <= model.context_tokens) return std::nullopt;
  return refuse(param,
                fmt::format("{} bytes, but the context has {} tokens", bytes, model.context_tokens),
                kContextLength);
}

Problem check_room(const ServedModel& model, const CompletionRequest& request,
                   std::size_t prompt_tokens, const std::string& param) {
  const std::size_t wanted = request.max_tokens_given ? request.options.max_new_tokens : 1;
  if (prompt_tokens <= model.context_tokens && wanted <= model.context_tokens - prompt_tokens)
    return std::nullopt;
  return refuse(param,
                fmt::format("{} tokens and {} of an answer, but the context has {}", prompt_tokens,
                            wanted, model.context_tokens),
                kContextLength);
}

}  // namespace

std::string ServedModel::id() const {
  std::string_view name = reference;
  const bool is_path = name.starts_with('.') || name.starts_with('/') || name.starts_with('~') ||
                       name.starts_with("path:") || name.starts_with("file:") ||
                       std::count(name.begin(), name.end(), '/') > 1;
  if (!is_path) return reference;
  while (name.ends_with('/')) name.remove_suffix(1);
  const std::string_view last = name.substr(name.find_last_of("/:") + 1);
  return last.empty() ? reference : std::string(last);
}

Problem ServedModel::check(const CompletionRequest& request) const {
  if (!request.model || *request.model == reference || *request.model == id()) return std::nullopt;
  RequestError error =
      refuse("model", fmt::format("{} is not here: this is '{}'", quote_name(*request.model), id()),
             kModelNotFound);
  error.status = 404;
  return error;
}

Problem encode_request(const ServedModel& model, CompletionRequest& request,
                       std::vector<std::vector<TokenId>>& ids) {
  if (auto wrong = model.check(request)) return wrong;
  if (auto wrong = check_biases(request, model.vocabulary)) return wrong;
  ids.clear();
  std::size_t longest = 0;
  for (std::size_t i = 0; i < request.prompts.size(); ++i) {
    const Prompt& prompt = request.prompts[i];
    const std::string param = prompt_param(request, i);
    if (prompt.text || !prompt.messages.empty()) {
      if (model.text == nullptr)
        return refuse(param, "the model has no tokenizer: it takes token ids alone",
                      kUnsupportedValue);
      if (auto wrong = check_size(model, prompt, param)) return wrong;
      Result<EncodedPrompt> encoded =
          model.text->encode_prompt(prompt, request.options.chat_template);
      if (!encoded.ok()) return refuse(param, encoded.error().message);
      ids.push_back(std::move(encoded->ids));
    } else {
      ids.push_back(prompt.ids);
    }
    if (ids.back().empty()) return refuse(param, "makes no token to go on from");
    if (auto wrong = check_ids(ids.back(), model.vocabulary, param)) return wrong;
    if (auto wrong = check_room(model, request, ids.back().size(), param)) return wrong;
    longest = std::max(longest, ids.back().size());
  }
  std::size_t& tokens = request.options.max_new_tokens;
  tokens = std::min(tokens, model.context_tokens - longest);
  return std::nullopt;
}

std::vector<Request> runtime_requests(const CompletionRequest& request,
                                      std::vector<std::vector<TokenId>> ids,
                                      const CancellationToken& cancel) {
  Request one{.prompt = {},
              .options = request.options,
              .answers = request.n,
              .priority = 0,
              .cancel = &cancel};
  if (request.logprobs) one.options.top_log_probs = request.top_logprobs;
  one.options.prompt_log_probs = request.logprobs && request.echo;
  std::vector<Request> requests(ids.size(), one);
  for (std::size_t i = 0; i < ids.size(); ++i)
    requests[i].prompt = Prompt::tokens(std::move(ids[i]));
  return requests;
}

std::string echoed_text(const ServedModel& model, const Prompt& prompt) {
  if (prompt.text) return *prompt.text;
  if (model.text == nullptr) return {};
  Result<std::string> text = model.text->decode(prompt.ids, false);
  return text.ok() ? std::move(text).value() : std::string();  // rows that are no tokens
}

}  // namespace ollm::openai
