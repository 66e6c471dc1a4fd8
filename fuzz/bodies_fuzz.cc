// Any bytes as the body of a request, on both routes: a request within every limit that there is,
// or a refusal in OpenAI's form; and a body that was taken says the same when it is written anew.
// As a row of a batch and as an answer of one: named, and answered by a line that is read back.
// links: ollm_openai nlohmann_json::nlohmann_json fmt::fmt
#include <cstddef>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "ollm/base/check.h"
#include "ollm/base/utf8.h"
#include "ollm/openai/batch_row.h"
#include "ollm/openai/canonical.h"
#include "ollm/openai/encode.h"
#include "ollm/openai/fields.h"
#include "ollm/openai/request.h"

namespace {

using ollm::openai::BodyLimits;
using ollm::openai::CompletionRequest;
using ollm::openai::RequestError;
using ollm::openai::Route;
using Json = nlohmann::ordered_json;

void hold_refusal(const RequestError& error) {
  OLLM_CHECK(error.status == 400 || error.status == 404);
  OLLM_CHECK(!error.message.empty());
  OLLM_CHECK(!error.param || !error.param->empty());
  const std::string text = ollm::openai::error_body(error).dump();  // throws for what is no UTF-8
  OLLM_CHECK(ollm::utf8_prefix(text) == text.size());
}

void hold_request(const CompletionRequest& request) {
  OLLM_CHECK(!request.prompts.empty() && request.prompts.size() <= BodyLimits::kPrompts);
  OLLM_CHECK(request.n >= 1 && request.n <= BodyLimits::kAnswers);
  OLLM_CHECK(request.top_logprobs <= BodyLimits::kTopLogprobs);
  OLLM_CHECK(request.options.stop.size() <= BodyLimits::kStops);
  constexpr std::size_t kIds = std::numeric_limits<ollm::TokenId>::max();
  OLLM_CHECK(ollm::sampling::check(request.options.sampling, kIds).ok());
  for (const ollm::Prompt& prompt : request.prompts)
    OLLM_CHECK(prompt.text || !prompt.messages.empty() || !prompt.ids.empty());
}

bool same(const CompletionRequest& a, const CompletionRequest& b) {
  return a.prompts.size() == b.prompts.size() && a.n == b.n && a.seed == b.seed &&
         a.model == b.model && a.logprobs == b.logprobs && a.top_logprobs == b.top_logprobs &&
         a.options.stop == b.options.stop && a.options.max_new_tokens == b.options.max_new_tokens &&
         a.options.sampling.temperature == b.options.sampling.temperature &&
         a.options.sampling.logit_bias.size() == b.options.sampling.logit_bias.size();
}

void hold(const Json& body, Route route) {
  CompletionRequest request;
  if (const auto wrong = ollm::openai::read_request(body, route, {}, request)) {
    hold_refusal(*wrong);
    return;
  }
  hold_request(request);
  Json again;
  OLLM_CHECK(!ollm::openai::parse_body(ollm::openai::canonical_json(body), again));
  CompletionRequest read_again;
  OLLM_CHECK(!ollm::openai::read_request(again, route, {}, read_again));
  OLLM_CHECK(same(request, read_again));
  const ollm::openai::ServedModel model{
      .reference = "m", .text = nullptr, .vocabulary = 100, .context_tokens = 50};
  std::vector<std::vector<ollm::TokenId>> ids;
  if (const auto wrong = encode_request(model, request, ids)) hold_refusal(*wrong);
}

void hold_row(std::string_view text) {
  const ollm::openai::BatchRow row = ollm::openai::read_batch_row(text);
  OLLM_CHECK(row.id.starts_with("batch_") && row.id.size() == 22);
  OLLM_CHECK(row.custom_id || !row.problem.empty());
  if (row.refused) hold_refusal(*row.refused);
  std::string line = row.custom_id
                         ? answer_line(row, 400, error_body(ollm::openai::refuse("a", "b")).dump())
                         : problem_line(row, 1);
  OLLM_CHECK(line.find('\n') == std::string::npos);
  const auto head = ollm::openai::read_answer_head(line);
  OLLM_CHECK(head && head->id == row.id && head->custom_id == row.custom_id);
  std::string any(text);
  (void)ollm::openai::read_answer_head(any);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  hold_row(text);
  Json body;
  if (const auto wrong = ollm::openai::parse_body(text, body)) {
    hold_refusal(*wrong);
    return 0;
  }
  hold(body, Route::chat);
  hold(body, Route::completions);
  return 0;
}
