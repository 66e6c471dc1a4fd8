#include "ollm/plan/choose.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <random>
#include <string>

#include "ollm/plan/shaped_model.h"

namespace ollm::plan {
namespace {

TEST(Choose, TheMinimumRunsAndAMibibyteLessIsRefused) {
  for (const Shape& shape : {kTiny, k1B, k8B}) {
    const Model model(shape);
    for (const Workload& work : {Workload{.prompt_tokens = 7, .max_new_tokens = 3},
                                 Workload{.prompt_tokens = 3000, .max_new_tokens = 100},
                                 Workload{.prompt_tokens = 100, .sequences = 4},
                                 Workload{.prompt_tokens = 300, .all_logits = true}}) {
      const auto any = model.plan(64 * kGiB, work);
      ASSERT_TRUE(any.ok()) << any.error().message;
      SCOPED_TRACE(fmt::format("hidden {}, prompt {}, minimum {} MiB", shape.hidden,
                               work.prompt_tokens, any->minimum_bytes / kMiB));
      EXPECT_EQ(any->minimum_bytes % kMiB, 0U);
      const auto least = model.plan(any->minimum_bytes, work);
      ASSERT_TRUE(least.ok());
      EXPECT_TRUE(least->fits);
      EXPECT_EQ(least->minimum_bytes, any->minimum_bytes) << "it depends on the budget";
      EXPECT_LE(least->memory.peak_bytes(), any->minimum_bytes);
      const auto less = model.plan(any->minimum_bytes - kMiB, work);
      ASSERT_TRUE(less.ok());
      EXPECT_FALSE(less->fits);
    }
  }
}

// A search over random wishes: a refusal names the budget that runs, to its MiB, whatever the
// budget that was refused.
TEST(Choose, TheMinimumIsExactForAnyWishes) {
  std::mt19937 random(11);
  const auto one_of = [&](std::initializer_list<std::size_t> values) {
    return *(values.begin() + static_cast<std::ptrdiff_t>(random() % values.size()));
  };
  const Shape wide{256, 3072, 2, 4, 4, 64, 2000, false};
  const Model models[] = {Model(kTiny), Model(wide), Model(k1B)};
  for (int round = 0; round < 300; ++round) {
    const Model& model = models[round % 3];
    Workload work;
    work.prompt_tokens = 1 + random() % one_of({8, 300, 5000});
    work.max_new_tokens = random() % 300;
    work.sequences = one_of({1, 1, 2, 8, 33});
    work.all_logits = random() % 3 == 0;
    work.text_bytes = one_of({0, 0, 1000, 40'000'000});
    Wishes wishes;
    if (random() % 2 == 0) wishes.prefill_chunk = one_of({1, 7, 64, 97, 256, 512, 3000});
    if (random() % 4 == 0) wishes.feed_forward_rows = one_of({12, 96, 500});
    wishes.threads = one_of({1, 2, 64});
    const std::uint64_t budget = one_of({1, 30, 200, 4000, 60'000}) * kMiB;
    SCOPED_TRACE(fmt::format(
        "round {}: hidden {}, prompt {}, new {}, {} sequences, chunk {}, "
        "feed-forward {}, {} threads, text {}, from {} MiB",
        round, model.composition.hidden_size, work.prompt_tokens, work.max_new_tokens,
        work.sequences, wishes.prefill_chunk.value_or(0), wishes.feed_forward_rows.value_or(0),
        *wishes.threads, work.text_bytes, budget / kMiB));
    const auto any = model.plan(budget, work, wishes);
    ASSERT_TRUE(any.ok()) << any.error().message;
    EXPECT_EQ(any->fits, budget >= any->minimum_bytes);
    const auto least = model.plan(any->minimum_bytes, work, wishes);
    ASSERT_TRUE(least.ok());
    EXPECT_TRUE(least->fits) << any->minimum_bytes / kMiB;
    EXPECT_LE(least->memory.peak_bytes(), any->minimum_bytes);
    EXPECT_EQ(least->minimum_bytes, any->minimum_bytes);
    const auto less = model.plan(any->minimum_bytes - kMiB, work, wishes);
    ASSERT_TRUE(less.ok());
    EXPECT_FALSE(less->fits) << any->minimum_bytes / kMiB;
  }
}

TEST(Choose, NonsenseIsRefused) {
  const Model model(kTiny);
  const auto refused = [&](const Workload& work, const Wishes& wishes = {}) {
    const auto plan = model.plan(kGiB, work, wishes);
    return !plan.ok() && plan.error().kind == ErrorKind::invalid_argument;
  };
  EXPECT_TRUE(refused({.prompt_tokens = 1, .sequences = 0}));
  EXPECT_TRUE(refused({.prompt_tokens = 1, .sequences = kMostSequences + 1}));
  EXPECT_TRUE(refused({.prompt_tokens = SIZE_MAX, .max_new_tokens = 2}));
  Wishes rows;
  rows.prefill_chunk = kMostRows + 1;
  EXPECT_TRUE(refused({.prompt_tokens = 1}, rows));
  const auto most = model.plan(kGiB, {.prompt_tokens = 1,
                                      .max_new_tokens = SIZE_MAX,
                                      .sequences = kMostSequences,
                                      .all_logits = true,
                                      .context_tokens = SIZE_MAX,
                                      .text_bytes = SIZE_MAX,
                                      .total_tokens = SIZE_MAX});
  ASSERT_TRUE(most.ok()) << most.error().message;
  EXPECT_FALSE(most->fits);
}

TEST(Choose, EveryOwnerHasALine) {
  const Model model(k1B);
  Wishes wishes;
  wishes.threads = 64;
  const auto plan = model.plan(64 * kGiB, {.prompt_tokens = 3000, .max_new_tokens = 10}, wishes);
  ASSERT_TRUE(plan.ok());
  std::map<std::string, std::uint64_t> bytes;
  for (const memory::LedgerLine& line : plan->memory.lines()) bytes[line.owner] += line.bytes;
  EXPECT_GT(bytes["scratch"], kMiB / 2);  // of each thread that finds a core here
  EXPECT_GT(bytes["threads"], kMiB);
  EXPECT_GT(bytes["sampler"], 128256U * 20);
  EXPECT_GE(bytes["token ids"], 3 * 3010U * sizeof(TokenId));
}

TEST(Choose, StaysWithinAnyBudgetAndUsesIt) {
  std::mt19937 random(5);
  const Model models[] = {Model(kTiny), Model(k1B), Model(k8B)};
  for (int round = 0; round < 60; ++round) {
    const Model& model = models[round % 3];
    Workload work;
    work.prompt_tokens = 1 + random() % 9000;
    work.max_new_tokens = random() % 300;
    work.sequences = 1 + random() % 3;
    const std::uint64_t budget = (60 + random() % 24'000) * kMiB;
    const auto plan = model.plan(budget, work);
    ASSERT_TRUE(plan.ok());
    SCOPED_TRACE(fmt::format("round {}: budget {} MiB, prompt {}, new {}, {} sequences", round,
                             budget / kMiB, work.prompt_tokens, work.max_new_tokens,
                             work.sequences));
    EXPECT_EQ(plan->fits, budget >= plan->minimum_bytes);
    if (!plan->fits) continue;
    EXPECT_LE(plan->memory.peak_bytes(), budget);
    if (plan->streamed_bytes == 0) continue;
    // What is left over is little: a segment, the padding, the bound of the ring.
    EXPECT_GT(plan->memory.peak_bytes() + 64 * kMiB, budget);
  }
}

TEST(Choose, MoreMemoryPinsMoreAndIsNeverSlower) {
  const Model model(k8B);
  const Workload work{.prompt_tokens = 2000, .max_new_tokens = 300};
  double slowest = 0;
  std::uint64_t streamed = 0;
  for (const std::uint64_t gib : {20, 16, 12, 8, 5, 3, 2, 1}) {
    const auto plan = model.plan(gib * kGiB, work);
    ASSERT_TRUE(plan.ok());
    ASSERT_TRUE(plan->fits) << gib;
    EXPECT_GE(plan->streamed_bytes, streamed);
    EXPECT_GE(plan->estimate.total_s, slowest * 0.99) << gib;
    streamed = plan->streamed_bytes;
    slowest = std::max(slowest, plan->estimate.total_s);
    EXPECT_EQ(plan->estimate.bytes_per_sweep, plan->streamed_bytes);
  }
  EXPECT_GT(streamed, 13 * kGiB);
}

TEST(Choose, AStreamedPromptGetsAChunkThatHidesReading) {
  const Model model(k8B);
  Wishes wishes;
  const auto plan = model.plan(3 * kGiB, {.prompt_tokens = 20000, .max_new_tokens = 300}, wishes);
  ASSERT_TRUE(plan.ok());
  // The scalar table computes so slowly that few rows hide the reading; a second's reading of
  // gigabytes wants more of them at a faster table's rate.
  const machine::Machine fast = fast_machine();
  Storage storage{.device = 7, .direct = true};
  wishes.memory_bytes = 3 * kGiB;
  const auto quick = choose(model.composition, model.tensors, {}, storage, fast, wishes,
                            {.prompt_tokens = 20000, .max_new_tokens = 300});
  ASSERT_TRUE(quick.ok());
  EXPECT_GE(2 * quick->engine.max_rows, quick->estimate.rows_that_fill);
  EXPECT_EQ(quick->estimate.bound_by, "disk");
  EXPECT_GT(quick->estimate.prefill_tokens_per_second, 20);
}

TEST(Choose, AWishedChunkIsTaken) {
  const Model model(k1B);
  Wishes wishes;
  wishes.prefill_chunk = 37;
  const auto plan = model.plan(kGiB, {.prompt_tokens = 1000}, wishes);
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->engine.max_rows, 37U);
}

TEST(Choose, TheFeedForwardIsComputedInPiecesWhereItsShareWouldBeExceeded) {
  const Model model(k8B);
  Wishes wishes;
  wishes.prefill_chunk = 4096;
  const auto plan = model.plan(2 * kGiB, {.prompt_tokens = 4096}, wishes);
  ASSERT_TRUE(plan.ok());
  EXPECT_LT(plan->engine.feed_forward_rows, plan->engine.max_rows);
  const auto rich = model.plan(64 * kGiB, {.prompt_tokens = 4096}, wishes);
  ASSERT_TRUE(rich.ok());
  EXPECT_GE(rich->engine.feed_forward_rows, rich->engine.max_rows);
}

TEST(Choose, ASeventyBillionModelPlansInThreeGibibytes) {
  const Model model(k70B);
  const auto plan = model.plan(3 * kGiB, {.prompt_tokens = 512, .max_new_tokens = 16});
  ASSERT_TRUE(plan.ok());
  EXPECT_TRUE(plan->fits);
  EXPECT_LE(plan->memory.peak_bytes(), 3 * kGiB);
}

TEST(Choose, EqualInputsGiveEqualPlans) {
  const Model model(k1B);
  const Workload work{.prompt_tokens = 800, .max_new_tokens = 5};
  EXPECT_EQ(execution_plan(*model.plan(kGiB, work)), execution_plan(*model.plan(kGiB, work)));
}

}  // namespace
}  // namespace ollm::plan
