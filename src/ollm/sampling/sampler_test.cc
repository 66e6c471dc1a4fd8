// What a Sampler promises beside the distribution: repetition, errors, ties, memory.
// Leaves to others: probabilities (the other sampling tests) and limits of options.
#include "ollm/sampling/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "tests/allocation_count.h"

namespace ollm::sampling {
namespace {

using ::testing::HasSubstr;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

std::vector<float> some_logits(std::size_t vocab) {
  std::vector<float> row(vocab);
  for (std::size_t i = 0; i < vocab; ++i) row[i] = static_cast<float>((i * 7919) % 1009) * 0.01F;
  return row;
}

Options warm() {
  Options options;
  options.temperature = 1;
  return options;
}

Options everything() {
  Options options = warm();
  options.top_k = 50;
  options.top_p = 0.95;
  options.min_p = 0.01;
  options.typical_p = 0.9;
  options.repetition_penalty = 1.1;
  options.presence_penalty = 0.1;
  options.frequency_penalty = 0.1;
  options.logit_bias = {{1, 0.5F}};
  options.seed = 77;
  return options;
}

std::vector<TokenId> draws(const Options& options, std::size_t from, std::size_t count) {
  const std::vector<float> logits = some_logits(500);
  Sampler sampler(options, logits.size());
  std::vector<TokenId> ids;
  for (std::size_t i = 0; i < count; ++i) ids.push_back(*sampler.choose(logits, from + i));
  return ids;
}

TEST(Sampler, GreedyTakesTheLargestAndOfEqualsTheLowestId) {
  Sampler sampler({}, 5);
  EXPECT_EQ(*sampler.sample(std::vector{1.0F, 3.0F, 2.0F, 3.0F, -5.0F}, 0), 1);
  EXPECT_EQ(*sampler.sample(std::vector{-0.0F, 0.0F, -1.0F, 0.0F, 0.0F}, 1), 0);
  EXPECT_EQ(*sampler.sample(std::vector{-kInfinity, -9.0F, -kInfinity, -8.0F, -9.0F}, 2), 3);
}

TEST(Sampler, GreedyTakesPenaltiesAndBiasIntoAccount) {
  const std::vector<float> logits{1, 2, 3};
  Options options;
  options.logit_bias = {{0, 5.0F}};
  EXPECT_EQ(*Sampler(options, 3).sample(logits, 0), 0);

  options = {};
  options.repetition_penalty = 2;
  Sampler sampler(options, 3);
  sampler.observe(2);
  EXPECT_EQ(*sampler.sample(logits, 1), 1) << "3 / 2 < 2";
}

TEST(Sampler, SampleAcceptsWhatItChooses) {
  Options options;
  options.presence_penalty = 2;
  Sampler sampler(options, 3);
  const std::vector<float> logits{1, 2, 3};
  EXPECT_EQ(*sampler.sample(logits, 0), 2);  // then 1, 2, 1
  EXPECT_EQ(*sampler.sample(logits, 1), 1);  // then 1, 0, 1
  EXPECT_EQ(*sampler.sample(logits, 2), 0);
}

TEST(Sampler, ChooseAcceptsNothing) {
  Options options;
  options.presence_penalty = 2;
  Sampler sampler(options, 3);
  for (std::size_t i = 0; i < 3; ++i)
    EXPECT_EQ(*sampler.choose(std::vector{1.0F, 2.0F, 3.0F}, i), 2);
}

TEST(Sampler, OpenAIsPenaltiesDoNotCountThePrompt) {
  Options options;
  options.presence_penalty = 2;
  options.frequency_penalty = 2;
  Sampler sampler(options, 3);
  sampler.observe(2);
  EXPECT_EQ(*sampler.choose(std::vector{1.0F, 2.0F, 3.0F}, 0), 2);
}

TEST(Sampler, TheRepetitionPenaltyCountsAnIdOnce) {
  Options options;
  options.repetition_penalty = 2;
  Sampler sampler(options, 2);
  for (int i = 0; i < 5; ++i) sampler.observe(1);
  for (int i = 0; i < 5; ++i) sampler.accept(1);
  EXPECT_EQ(*sampler.choose(std::vector{1.0F, 3.0F}, 0), 1) << "3 / 2 > 1";
}

TEST(Sampler, IdsBeyondTheVocabularyArePassedOver) {
  Options options;
  options.repetition_penalty = 2;
  Sampler sampler(options, 3);
  sampler.observe(3);
  sampler.accept(std::numeric_limits<TokenId>::max());
  EXPECT_EQ(*sampler.sample(std::vector{1.0F, 2.0F, 3.0F}, 0), 2);
}

TEST(Sampler, TopKOfOneAndATinyTopPAreGreedy) {
  const std::vector<float> logits = some_logits(997);
  const TokenId best = *Sampler({}, 997).choose(logits, 0);
  Options one = warm();
  one.top_k = 1;
  Options tiny = warm();
  tiny.top_p = 1e-100;
  Options cold = warm();
  cold.temperature = 1e-100;
  for (const Options& options : {one, tiny, cold}) {
    Sampler sampler(options, 997);
    for (std::size_t i = 0; i < 50; ++i) EXPECT_EQ(*sampler.choose(logits, i), best);
  }
}

TEST(Sampler, TopPOfEqualsKeepsTheLowestIds) {
  Options options = warm();
  options.top_p = 0.5;
  const std::vector<float> equal(8, 1.25F);
  const auto kept = Sampler(options, 8).distribution(equal, 0);
  ASSERT_EQ(kept->size(), 4U);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ((*kept)[i].id, static_cast<TokenId>(i));
    EXPECT_EQ((*kept)[i].probability, 0.25);
  }
}

// A first token of probability 0.2, a crowd near the entropy that holds 0.8, and one of almost no
// mass: farther from the entropy than the crowd, but nearer than the first token.
TEST(Sampler, TypicalPKeepsLightTokensThatAreNearerTheEntropyThanTheFirst) {
  Options options = warm();
  options.typical_p = 0.9;
  std::vector<float> logits(100001, -14.0F);
  std::fill(logits.begin(), logits.begin() + 50000, -9.43F);
  logits[70000] = 0;
  EXPECT_EQ(Sampler(options, logits.size()).distribution(logits, 0)->size(), logits.size());
  options.typical_p = 0.7;
  EXPECT_EQ(Sampler(options, logits.size()).distribution(logits, 0)->size(), 50000U);
}

TEST(Sampler, ABiasGivenTwiceIsAddedTwice) {
  Options options;
  options.logit_bias = {{0, 1.0F}, {0, 1.5F}};
  EXPECT_EQ(*Sampler(options, 2).choose(std::vector{0.0F, 2.0F}, 0), 0);
}

TEST(Sampler, ForbiddenTokensAreNeverDrawn) {
  Options options = warm();
  options.temperature = 1e100;  // all the same otherwise
  options.logit_bias = {{1, -kInfinity}};
  Sampler sampler(options, 4);
  const std::vector<float> logits{0, 9, 0, -kInfinity};
  for (std::size_t i = 0; i < 1000; ++i) {
    const TokenId id = *sampler.choose(logits, i);
    ASSERT_TRUE(id == 0 || id == 2) << id;
  }
}

TEST(Sampler, HugeFiniteLogitsAreNoError) {
  Options options = everything();
  options.logit_bias = {{0, std::numeric_limits<float>::max()}};
  options.repetition_penalty = 1e-100;
  options.temperature = 1e-100;
  Sampler sampler(options, 3);
  sampler.observe(0);
  const float most = std::numeric_limits<float>::max();
  EXPECT_EQ(*sampler.sample(std::vector{most, most, -most}, 0), 0);
}

TEST(SamplerRepeats, TheSameSeedAndPositionDrawTheSameWhateverWasDrawnBefore) {
  const Options options = [] {
    Options o = warm();
    o.top_k = 50;
    o.seed = 5;
    return o;
  }();
  const std::vector<TokenId> all = draws(options, 0, 300);
  EXPECT_EQ(all, draws(options, 0, 300));
  const std::vector<TokenId> later = draws(options, 200, 100);
  EXPECT_TRUE(std::equal(later.begin(), later.end(), all.begin() + 200));

  const std::vector<float> logits = some_logits(500);
  const std::vector<float> others(500, 0.5F);
  Sampler with_history(options, 500);
  with_history.observe(7);
  for (std::size_t i = 0; i < 40; ++i) with_history.accept(*with_history.choose(others, i + 3));
  for (std::size_t i = 300; i-- > 0;) EXPECT_EQ(*with_history.choose(logits, i), all[i]);
}

TEST(SamplerRepeats, ARestartWithTheTokensSoFarGoesOnAsIfThereWasNone) {
  const std::vector<float> logits = some_logits(500);
  Sampler whole(everything(), 500);
  whole.observe(3);
  std::vector<TokenId> ids;
  for (std::size_t i = 1; i < 100; ++i) ids.push_back(*whole.sample(logits, i));

  Sampler restarted(everything(), 500);
  restarted.observe(3);
  for (std::size_t i = 0; i < 60; ++i) restarted.accept(ids[i]);
  for (std::size_t i = 60; i < ids.size(); ++i) EXPECT_EQ(*restarted.sample(logits, i + 1), ids[i]);
}

TEST(SamplerRepeats, OtherSeedsAndPositionsDrawOtherTokens) {
  Options one = warm();
  Options two = warm();
  two.seed = 1;
  const std::vector<TokenId> a = draws(one, 0, 200);
  const std::vector<TokenId> b = draws(two, 0, 200);
  const std::vector<TokenId> c = draws(one, 1, 200);
  const auto equal = [](const auto& x, const auto& y) {
    std::size_t count = 0;
    for (std::size_t i = 0; i < x.size(); ++i) count += x[i] == y[i] ? 1 : 0;
    return count;
  };
  // Two independent draws agree with probability sum(p^2), below 0.02 for these logits.
  EXPECT_LT(equal(a, b), 20U);
  EXPECT_LT(equal(a, c), 20U);
}

TEST(SamplerRepeats, SequencesThatShareAWorkspaceDrawAsAlone) {
  const std::vector<float> first = some_logits(500);
  std::vector<float> second(first.rbegin(), first.rend());
  Workspace workspace(500);
  Options other = warm();
  other.seed = 9;
  Sampler a(everything(), 500, workspace);
  Sampler b(other, 500, workspace);
  Sampler a_alone(everything(), 500);
  Sampler b_alone(other, 500);
  for (std::size_t i = 0; i < 100; ++i) {
    EXPECT_EQ(*a.sample(first, i), *a_alone.sample(first, i));
    EXPECT_EQ(*b.sample(second, i), *b_alone.sample(second, i));
  }
}

// Greedy from bare logits, greedy with a penalty, and drawn: three ways through the code.
std::vector<Options> every_way() {
  Options penalized;
  penalized.presence_penalty = 1;
  return {Options{}, penalized, everything()};
}

TEST(SamplerErrors, NaNAndInfinityAreCorruptAndNamed) {
  for (const Options& options : every_way()) {
    Sampler sampler(options, 40);
    for (const auto& [value, name] : {std::pair{kNaN, "nan"}, {-kNaN, "nan"}, {kInfinity, "inf"}}) {
      for (const std::size_t id : {std::size_t{0}, std::size_t{17}, std::size_t{39}}) {
        std::vector<float> logits = some_logits(40);
        logits[id] = value;
        const Result<TokenId> result = sampler.sample(logits, 12);
        ASSERT_FALSE(result.ok());
        EXPECT_EQ(result.error().kind, ErrorKind::corrupt);
        EXPECT_THAT(result.error().message, HasSubstr("position 12"));
        EXPECT_THAT(result.error().message, HasSubstr(name));
        EXPECT_THAT(result.error().message, HasSubstr("token " + std::to_string(id)));
        EXPECT_FALSE(sampler.distribution(logits, 12).ok());
      }
    }
  }
}

TEST(SamplerErrors, OnlyMinusInfinityIsCorrupt) {
  for (const Options& options : every_way()) {
    const Result<TokenId> result =
        Sampler(options, 40).sample(std::vector<float>(40, -kInfinity), 3);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().kind, ErrorKind::corrupt);
    EXPECT_THAT(result.error().message, HasSubstr("all are -inf"));
  }
}

TEST(SamplerErrors, ABiasThatForbidsEveryTokenIsInvalid) {
  for (const double temperature : {0.0, 1.0}) {
    Options options;
    options.temperature = temperature;
    options.logit_bias = {{0, -kInfinity}, {1, -kInfinity}};
    const Result<TokenId> result =
        Sampler(options, 3).sample(std::vector{1.0F, 2.0F, -kInfinity}, 4);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().kind, ErrorKind::invalid_argument);
    EXPECT_THAT(result.error().message, HasSubstr("logit_bias forbids every token"));
  }
}

TEST(SamplerErrors, AFailedSampleAcceptsNothing) {
  Options options;
  options.presence_penalty = 2;
  Sampler sampler(options, 2);
  EXPECT_FALSE(sampler.sample(std::vector{1.0F, kNaN}, 0).ok());
  EXPECT_EQ(*sampler.sample(std::vector{1.0F, 0.0F}, 0), 0);
}

TEST(SamplerMemory, NothingIsAllocatedAfterConstruction) {
  const std::vector<float> logits = some_logits(5000);
  for (const Options& options : every_way()) {
    Sampler sampler(options, logits.size());
    const std::size_t before = ollm::testing::allocation_count();
    for (TokenId id = 0; id < 100; ++id) sampler.observe(id);
    bool all_ok = true;
    for (std::size_t i = 0; i < 200; ++i) all_ok = sampler.sample(logits, 100 + i).ok() && all_ok;
    EXPECT_EQ(ollm::testing::allocation_count() - before, 0U);
    EXPECT_TRUE(all_ok);
  }
}

TEST(SamplerMemory, TheCounterSeesAllocations) {
  const std::size_t before = ollm::testing::allocation_count();
  const auto kept = Sampler(everything(), 40).distribution(some_logits(40), 0);
  EXPECT_GT(ollm::testing::allocation_count() - before, 0U);
  EXPECT_TRUE(kept.ok());
}

TEST(SamplerMemory, IsWhatTheSizesSay) {
  constexpr std::size_t kVocab = 100000;
  EXPECT_EQ(Sampler::size_bytes({}, kVocab), 0U);
  EXPECT_EQ(Sampler::workspace_bytes({}, kVocab), 0U);
  EXPECT_EQ(Sampler::size_bytes(everything(), kVocab), 4 * kVocab + 8);
  // Scores and weights in double, two lists of ids, and the buckets.
  EXPECT_EQ(Sampler::workspace_bytes(everything(), kVocab), 24 * kVocab + 16384 * 8);
  EXPECT_EQ(Workspace::size_bytes(kVocab), Sampler::workspace_bytes(warm(), kVocab));
}

}  // namespace
}  // namespace ollm::sampling
