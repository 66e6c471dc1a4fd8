// That an answer holds no more than was claimed for it, as text.
#include "ollm/server/answer_size.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "ollm/openai/response.h"

namespace ollm::server {
namespace {

using openai::CompletionRequest;
using openai::Route;

constexpr std::size_t kTokens = 100;
constexpr std::size_t kTop = 20;

CompletionRequest request_of(Route route, bool logprobs) {
  CompletionRequest request;
  request.route = route;
  request.n = 3;
  request.options.max_new_tokens = kTokens;
  request.logprobs = logprobs;
  if (logprobs) request.top_logprobs = kTop;
  return request;
}

class AnswerSizes : public ::testing::Test {
 protected:
  AnswerSizes() {
    Settings settings;
    settings.runtime.model_reference = "examples/models/clerk";
    Result<Text> opened = Text::open(settings);
    EXPECT_TRUE(opened.ok());
    text_.emplace(std::move(opened).value());
    model_ = {.reference = "clerk", .text = &*text_, .vocabulary = 1536, .context_tokens = 4096};
  }

  // Of every token once, and beside it the next ones, with as many digits as a number has.
  Generation generation(std::size_t seed, bool logprobs) const {
    Generation made;
    for (std::size_t i = 0; i < kTokens; ++i) {
      const auto id = [&](std::size_t k) {
        return static_cast<TokenId>((seed * kTokens + i + k) % model_.vocabulary);
      };
      made.ids.push_back(id(0));
      made.text += text_->token_bytes(id(0)).ok() ? *text_->token_bytes(id(0)) : "";
      if (!logprobs) continue;
      sampling::TokenLogProbs& likely = made.log_probs.emplace_back();
      likely.log_prob = -12.345678901234567;
      for (std::size_t k = 1; k <= kTop; ++k)
        likely.top.push_back({id(k), -1.0 / static_cast<double>(3 + i + k)});
    }
    return made;
  }

  std::optional<Text> text_;
  openai::ServedModel model_;
};

TEST_F(AnswerSizes, TextIsNoLongerThanWasClaimedForIt) {
  for (const Route route : {Route::chat, Route::completions}) {
    for (const bool logprobs : {false, true}) {
      const CompletionRequest request = request_of(route, logprobs);
      const AnswerSize size = answer_size(request, std::vector<std::vector<TokenId>>(5, {1}), 4);
      openai::ResponseText text(5);
      for (std::size_t prompt = 0; prompt < 5; ++prompt) {
        openai::PromptAnswers answers;
        for (std::size_t i = 0; i < request.n; ++i)
          answers.choices.push_back(generation(prompt * request.n + i, logprobs));
        text.add(model_, request, prompt, std::move(answers));
      }
      EXPECT_LE(text.size(), size.total()) << logprobs;
      if (logprobs) {
        EXPECT_LE(size.text_bytes, 2 * text.size());  // and not far less
      }
    }
  }
}

TEST_F(AnswerSizes, NameTheFieldThatWeighsMost) {
  const std::vector<std::vector<TokenId>> one(1, {1}), many(2048, {1});
  EXPECT_EQ(answer_size(request_of(Route::completions, true), one, 4).weighs_most, "logprobs");
  EXPECT_EQ(answer_size(request_of(Route::chat, true), one, 4).weighs_most, "top_logprobs");
  CompletionRequest plain = request_of(Route::completions, false);
  plain.options.max_new_tokens = 1;
  EXPECT_EQ(answer_size(plain, many, 4).weighs_most, "n");
  plain.n = 1;
  EXPECT_EQ(answer_size(plain, many, 4).weighs_most, "prompt");
  plain.options.max_new_tokens = 100'000;
  EXPECT_EQ(answer_size(plain, one, 4).weighs_most, "max_tokens");
}

TEST_F(AnswerSizes, AStreamClaimsNoTextThatItHasSent) {
  CompletionRequest request = request_of(Route::chat, false);
  request.options.max_new_tokens = 1'000'000;
  const std::vector<std::vector<TokenId>> ids(1, {1});
  const std::size_t whole = answer_size(request, ids, 4).text_bytes;
  request.stream = true;
  EXPECT_LT(answer_size(request, ids, 4).text_bytes, whole / 10);
}

}  // namespace
}  // namespace ollm::server
