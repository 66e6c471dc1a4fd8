// How likely tokens were found, as answers tell it: what a score says of the same tokens, whatever
// was asked of the sampler.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "ollm/ollm.h"
#include "ollm/runtime/shipped_model.h"

namespace ollm::runtime {
namespace {

using ::testing::HasSubstr;

const std::vector<TokenId> kPrompt = {5, 17, 42, 7, 300, 12, 9, 77, 5, 17};

Settings uncached(std::int64_t chunk = 4) {
  Settings settings = settings_of(kShippedModel);
  settings.runtime.use_cache = false;
  settings.runtime.prefill_chunk = chunk;
  return settings;
}

std::vector<double> scored(const std::vector<TokenId>& ids) {
  const Runtime scorer = load(uncached(), {.prompt_tokens = ids.size(), .all_logits = true});
  const std::vector<ScoreRow> rows = {{"0", ids}};
  return scorer.score(rows, {})->rows[0].log_probs;
}

Answers answers_of(const Runtime& runtime, GenerateOptions options, std::size_t count = 1) {
  options.max_new_tokens = 6;
  options.ignore_eos = true;
  options.top_log_probs = 3;
  auto ticket =
      runtime.submit({.prompt = Prompt::tokens(kPrompt), .options = options, .answers = count});
  EXPECT_TRUE(ticket.ok());
  auto answers = ticket->wait();
  EXPECT_TRUE(answers.ok());
  return *std::move(answers);
}

TEST(AnswersLogProbs, AreThoseOfAScore) {
  const Runtime runtime = load(uncached(), {.sequences = 2, .context_tokens = 64});
  GenerateOptions options;
  options.prompt_log_probs = true;
  options.sampling.temperature = 1;
  options.sampling.presence_penalty = 1;
  options.sampling.seed = 3;
  const Answers made = answers_of(runtime, options, 2);
  ASSERT_EQ(made.answers.size(), 2u);
  EXPECT_TRUE(made.answers[1].prompt_log_probs.empty());  // the first one's are those of all
  const std::vector<sampling::TokenLogProbs>& prompt = made.answers[0].prompt_log_probs;
  ASSERT_EQ(prompt.size(), kPrompt.size() - 1);
  for (const Generation& answer : made.answers) {
    std::vector<TokenId> whole = kPrompt;
    whole.insert(whole.end(), answer.ids.begin(), answer.ids.end());
    const std::vector<double> expected = scored(whole);
    ASSERT_EQ(answer.log_probs.size(), answer.ids.size());
    for (std::size_t i = 0; i < answer.ids.size(); ++i)
      EXPECT_EQ(answer.log_probs[i].log_prob, expected[kPrompt.size() - 1 + i]);
    for (std::size_t i = 0; i + 1 < kPrompt.size(); ++i) EXPECT_EQ(prompt[i].log_prob, expected[i]);
  }
}

TEST(AnswersLogProbs, ThatNobodyTakesLetTheAnswerRest) {
  constexpr std::size_t kTokens = 500;
  const Runtime runtime = load(uncached(), {.sequences = 2, .context_tokens = 600});
  GenerateOptions options;
  options.max_new_tokens = kTokens;
  options.ignore_eos = true;
  Request other{.prompt = Prompt::tokens(kPrompt), .options = options};
  options.top_log_probs = 20;
  const Request likely{.prompt = Prompt::tokens(kPrompt), .options = options};
  Result<Ticket> left = runtime.submit(likely);
  Result<Ticket> taken = runtime.submit(other);
  ASSERT_TRUE(left.ok() && taken.ok());
  EXPECT_EQ(taken->wait()->answers[0].ids.size(), kTokens);
  const auto piece = left->next();
  ASSERT_TRUE(piece.ok() && piece->has_value());
  EXPECT_LT((*piece)->ids.size(), kTokens / 2);  // 64 KiB of them, and no more
  EXPECT_EQ(left->wait()->answers[0].ids.size(), kTokens);
}

TEST(AnswersLogProbs, ComeWithThePiecesOfTheirTokens) {
  const Runtime runtime = load(uncached(), {.context_tokens = 64});
  const Answers whole = answers_of(runtime, {});
  auto ticket =
      runtime.submit({.prompt = Prompt::tokens(kPrompt),
                      .options = {.max_new_tokens = 6, .ignore_eos = true, .top_log_probs = 3}});
  ASSERT_TRUE(ticket.ok());
  std::vector<sampling::TokenLogProbs> told;
  for (auto piece = ticket->next(); piece.ok() && piece->has_value(); piece = ticket->next()) {
    EXPECT_EQ((*piece)->log_probs.size(), (*piece)->ids.size());
    told.insert(told.end(), (*piece)->log_probs.begin(), (*piece)->log_probs.end());
  }
  ASSERT_EQ(told.size(), whole.answers[0].log_probs.size());
  for (std::size_t i = 0; i < told.size(); ++i)
    EXPECT_EQ(told[i].log_prob, whole.answers[0].log_probs[i].log_prob);
}

TEST(AnswersLogProbs, OfAGreedyAnswerEachTokenIsTheLikeliest) {
  const Runtime runtime = load(uncached(), {.context_tokens = 64});
  const Answers made = answers_of(runtime, {});
  const Generation& answer = made.answers[0];
  ASSERT_EQ(answer.log_probs.size(), answer.ids.size());
  for (std::size_t i = 0; i < answer.ids.size(); ++i) {
    const sampling::TokenLogProbs& found = answer.log_probs[i];
    ASSERT_EQ(found.top.size(), 3u);
    EXPECT_EQ(found.top[0], (sampling::TokenLogProb{answer.ids[i], found.log_prob}));
  }
}

TEST(AnswersLogProbs, AreEqualWhateverTheChunk) {
  GenerateOptions options;
  options.prompt_log_probs = true;
  const Runtime one = load(uncached(1), {.context_tokens = 64});
  const Runtime all = load(uncached(64), {.context_tokens = 64});
  const Answers a = answers_of(one, options);
  const Answers b = answers_of(all, options);
  EXPECT_EQ(a.answers[0].log_probs, b.answers[0].log_probs);
  EXPECT_EQ(a.answers[0].prompt_log_probs, b.answers[0].prompt_log_probs);
}

TEST(AnswersLogProbs, ASessionDoesNotComputeItsPromptAgain) {
  const Runtime runtime = load(uncached(), {.context_tokens = 64});
  Result<Session> session = runtime.new_session();
  ASSERT_TRUE(session.ok());
  const auto refused =
      session->generate(Prompt::tokens(kPrompt), {.max_new_tokens = 1, .prompt_log_probs = true});
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, HasSubstr("Runtime::submit"));
  const auto made =
      session->generate(Prompt::tokens(kPrompt), {.max_new_tokens = 3, .top_log_probs = 0});
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->log_probs.size(), made->ids.size());
}

TEST(PlanFingerprint, IsTheSameEachTimeAndNamesTheMode) {
  const auto name_of = [](const Settings& settings, std::size_t context) {
    const Result<std::string> name = plan_of(settings, {.context_tokens = context}).fingerprint();
    EXPECT_TRUE(name.ok()) << name.error().message;
    return *name;
  };
  const std::string name = name_of(uncached(), 64);
  EXPECT_EQ(name.size(), 64u);
  EXPECT_EQ(name_of(uncached(7), 99), name);
  Settings other_mode = uncached();
  const bool f32 = plan_of(uncached(), {}).execution_plan()->compute == "f32";
  other_mode.runtime.compute = f32 ? "bf16" : "f32";
  EXPECT_NE(name_of(other_mode, 64), name);
}

}  // namespace
}  // namespace ollm::runtime
