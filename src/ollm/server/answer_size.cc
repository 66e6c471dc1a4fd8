#include "ollm/server/answer_size.h"

#include <algorithm>

#include "ollm/server/limits.h"

namespace ollm::server {
namespace {

using openai::CompletionRequest;

// Of one answer: the runtime's, with its place among the lines, and its choice in the body.
constexpr std::size_t kAnswerBytes = std::size_t{2} << 10;
// Of one prompt: its ticket, and its request while it is submitted.
constexpr std::size_t kPromptBytes = std::size_t{2} << 10;

// Of a new token. Lists grow by doubling.
constexpr std::size_t kMadeToken = 2 * sizeof(TokenId) + 16;
constexpr std::size_t kTextToken = 16;
// Of a token's log probabilities, and of each token beside it, as text: {"token":"..","logprob":
// -12.345678901234567,"bytes":[..]} of a chat, "..":-12.345678901234567 of a completion.
constexpr std::size_t kChatEntry = 80;
constexpr std::size_t kCompletionEntry = 36;
// What the system's heap puts around a list.
constexpr std::size_t kHeap = 16;

// What an answer copies of the options of its request.
std::size_t option_bytes(const GenerateOptions& options) {
  std::size_t bytes = 2 * options.sampling.logit_bias.size() * sizeof(std::pair<TokenId, float>);
  for (const std::string& stop : options.stop) bytes += 2 * (sizeof(std::string) + stop.size());
  return bytes;
}

// What log probabilities of a token take.
struct TokenBytes {
  std::size_t made = 0;
  std::size_t text = 0;
};

TokenBytes log_prob_bytes(const CompletionRequest& request) {
  if (!request.logprobs) return {};
  const std::size_t top = request.top_logprobs;
  const std::size_t entry = request.route == openai::Route::chat ? kChatEntry : kCompletionEntry;
  return {.made = 2 * sizeof(sampling::TokenLogProbs) +
                  (top > 0 ? top * sizeof(sampling::TokenLogProb) + kHeap : 0),
          .text = entry * (1 + top)};
}

// Bytes by what asks for them.
struct Parts {
  std::size_t answers = 0;  // that there are so many
  std::size_t prompts = 0;  // how long they are
  std::size_t tokens_made = 0, tokens_text = 0;
  std::size_t likely_made = 0, likely_text = 0;  // log probabilities
  std::size_t echo_text = 0;
};

// What was made for a prompt goes when it ends: as many are there as run.
void add_made(const CompletionRequest& request, std::size_t running_answers, Parts& out) {
  const std::size_t tokens = running_answers * request.options.max_new_tokens;
  out.tokens_made = tokens * kMadeToken;
  out.likely_made = tokens * log_prob_bytes(request).made;
}

void add_text(const CompletionRequest& request, std::size_t answers, Parts& out) {
  const std::size_t tokens = answers * request.options.max_new_tokens;
  out.tokens_text = tokens * kTextToken;
  out.likely_text = tokens * log_prob_bytes(request).text;
}

// One piece comes on top of what was not sent, as long as the runtime makes ahead.
void add_stream(const CompletionRequest& request, Parts& out) {
  out.tokens_text = 3 * ServerLimits::kUnsentBytes;
  const TokenBytes likely = log_prob_bytes(request);
  if (likely.made == 0) return;
  const std::size_t ahead = ServerLimits::kUnsentBytes / likely.made + 1;
  out.likely_text = std::min(request.options.max_new_tokens, ahead) * likely.text;
}

// The prompt stands in front of each answer.
void add_echo(const CompletionRequest& request, std::size_t prompt_tokens, Parts& out) {
  std::size_t bytes = 0;
  for (const Prompt& prompt : request.prompts)
    bytes += prompt.text ? prompt.text->size() : prompt.ids.size() * kTextToken;
  out.prompts += bytes;
  out.echo_text = 2 * request.n * bytes;
  if (request.stream) return;
  const TokenBytes likely = log_prob_bytes(request);
  out.likely_made += prompt_tokens * likely.made;
  out.likely_text += request.n * prompt_tokens * likely.text;
}

std::string_view heaviest(const CompletionRequest& request, const Parts& parts) {
  const std::size_t likely = parts.likely_made + parts.likely_text;
  const std::size_t tokens = parts.tokens_made + parts.tokens_text;
  const std::size_t prompts = parts.prompts + parts.echo_text;
  const std::size_t most = std::max({likely, tokens, prompts, parts.answers});
  if (most == likely) {
    const bool chat = request.route == openai::Route::chat;
    return chat && request.top_logprobs > 0 ? "top_logprobs" : "logprobs";
  }
  if (most == tokens) return "max_tokens";
  const bool many = most == parts.answers && request.n > 1;
  return many ? "n" : "prompt";
}

}  // namespace

AnswerSize answer_size(const CompletionRequest& request, std::span<const std::vector<TokenId>> ids,
                       std::size_t lines) {
  std::size_t prompt_tokens = 0;
  for (const std::vector<TokenId>& one : ids) prompt_tokens += one.size();
  const std::size_t answers = ids.size() * request.n;
  Parts parts;
  parts.answers = ids.size() * kPromptBytes + answers * kAnswerBytes +
                  (ids.size() + answers) * option_bytes(request.options);
  parts.prompts = prompt_tokens * sizeof(TokenId) * (2 + request.n);
  add_made(request, std::min(ids.size(), lines) * request.n, parts);
  request.stream ? add_stream(request, parts) : add_text(request, answers, parts);
  if (request.echo) add_echo(request, prompt_tokens, parts);
  return {.made_bytes = parts.answers + parts.prompts + parts.tokens_made + parts.likely_made,
          .text_bytes = parts.tokens_text + parts.likely_text + parts.echo_text,
          .weighs_most = heaviest(request, parts)};
}

}  // namespace ollm::server
