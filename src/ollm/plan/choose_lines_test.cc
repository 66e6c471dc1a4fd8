// How many lines pay: of sweeps of any kind, and of plans.
#include "ollm/plan/choose_lines.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <string>

#include "ollm/kv/strategies.h"
#include "ollm/plan/shaped_model.h"

namespace ollm::plan {
namespace {

using ::testing::HasSubstr;

const CacheStorage kRoomy{"/cache/kv", 7, 4000 * kGiB, 2000 * kGiB};

Wishes not_kept() {
  Wishes wishes;
  wishes.kv = {.strategy = "paged"};
  return wishes;
}

const LinesChoice* find(const LinesPlan& plan, std::size_t lines) {
  for (const LinesChoice& choice : plan.choices)
    if (choice.lines == lines) return &choice;
  return nullptr;
}

TEST(ChooseLines, ThoseThatPay) {
  struct Case {
    const char* name;
    std::function<double(double lines)> sweep_s;
    std::size_t requests, fit, pay;
    std::string bound_by;
  };
  const Case cases[] = {
      {"reading shared until computing takes longer",
       [](double lines) { return std::max(8.0, lines / 8); }, 0, 1 << 16, 64, "compute"},
      {"no more requests", [](double lines) { return std::max(8.0, lines / 8); }, 10, 1 << 16, 10,
       "requests"},
      {"no more fit", [](double lines) { return std::max(8.0, lines / 8); }, 0, 40, 40, "budget"},
      {"nothing is shared", [](double lines) { return lines; }, 0, 1 << 16, 1, "compute"},
      {"one is all that fits", [](double) { return 1.0; }, 0, 1, 1, "budget"},
      {"nothing fits", [](double) { return 1.0; }, 0, 0, 0, ""},
      {"more take memory from the weights",
       [](double lines) { return 8 + 4 * std::max(0.0, lines - 16); }, 0, 1 << 16, 16, "kv-frames"},
      {"each reads as much as all share", [](double lines) { return 8 + lines; }, 0, 1 << 16, 160,
       "compute"},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.name);
    std::size_t looks = 0;
    const auto look = [&](std::size_t lines) -> std::optional<LinesChoice> {
      ++looks;
      if (lines > one.fit) return std::nullopt;
      LinesChoice choice;
      choice.lines = lines;
      const double sweep_s = one.sweep_s(static_cast<double>(lines));
      choice.decode_tokens_per_second = static_cast<double>(lines) / sweep_s;
      choice.seconds_per_request = 100 / choice.decode_tokens_per_second;
      choice.bound_by = "compute";
      return choice;
    };
    for (const LinesMeasure measure : {LinesMeasure::job, LinesMeasure::decoding}) {
      looks = 0;
      const LinesPlan plan = choose_lines(one.requests, 1 << 16, measure, look);
      EXPECT_EQ(plan.pay, one.pay);
      EXPECT_EQ(plan.bound_by, one.bound_by);
      EXPECT_EQ(find(plan, plan.pay) != nullptr, one.pay != 0);
      EXPECT_TRUE(std::is_sorted(
          plan.choices.begin(), plan.choices.end(),
          [](const LinesChoice& a, const LinesChoice& b) { return a.lines < b.lines; }));
      EXPECT_LE(looks, 24U);
      EXPECT_NE(why_no_more(plan), "");
    }
  }
}

TEST(ChooseLines, AreThoseOfThePlanWithSoMany) {
  const Model model(k8B);
  const Workload work{.prompt_tokens = 500, .max_new_tokens = 200};
  const auto plan = model.plan(3 * kGiB, work, not_kept(), kRoomy, fast_machine());
  ASSERT_TRUE(plan.ok());
  ASSERT_GT(plan->lines.choices.size(), 4U);
  for (const LinesChoice& choice : plan->lines.choices) {
    Workload many = work;
    many.sequences = choice.lines;
    const auto same = model.plan(3 * kGiB, many, not_kept(), kRoomy, fast_machine());
    ASSERT_TRUE(same.ok());
    SCOPED_TRACE(choice.lines);
    EXPECT_TRUE(same->fits);
    const double rate = same->estimate.decode_tokens_per_second;
    EXPECT_NEAR(choice.decode_tokens_per_second, rate, 0.02 * rate);
    EXPECT_EQ(choice.kv_frames_bytes, kv::frames_bytes(same->kv));
    EXPECT_EQ(same->lines, plan->lines) << "they depend on the lines that were asked for";
  }
}

TEST(ChooseLines, AStreamedModelDecodesManyTimesAsFastWithThem) {
  const Model model(k8B);
  const auto plan = model.plan(3 * kGiB, {.prompt_tokens = 100, .max_new_tokens = 400}, not_kept(),
                               kRoomy, fast_machine());
  ASSERT_TRUE(plan.ok());
  const LinesPlan& lines = plan->lines;
  EXPECT_GE(lines.pay, 16U);
  EXPECT_GT(find(lines, lines.pay)->decode_tokens_per_second,
            10 * find(lines, 1)->decode_tokens_per_second);
}

TEST(ChooseLines, AreTakenWhereNobodySaysHowMany) {
  const Model model(k8B);
  Workload work{.prompt_tokens = 500, .max_new_tokens = 200, .sequences = 0, .requests = 1000};
  const auto plan = model.plan(3 * kGiB, work, not_kept(), kRoomy, fast_machine());
  ASSERT_TRUE(plan.ok());
  EXPECT_TRUE(plan->fits);
  EXPECT_EQ(plan->workload.sequences, plan->lines.pay);
  EXPECT_GT(plan->lines.pay, 8U);
  EXPECT_EQ(plan->kv.lines, plan->lines.pay);
  EXPECT_EQ(plan->estimate.requests, 1000U);
  const auto decision = std::find_if(plan->decisions.begin(), plan->decisions.end(),
                                     [](const Decision& one) { return one.what == "lines"; });
  ASSERT_NE(decision, plan->decisions.end());
  EXPECT_EQ(decision->chosen, fmt::format("{}", plan->lines.pay));
  EXPECT_EQ(decision->because, why_no_more(plan->lines));

  work.requests = 5;
  const auto few = model.plan(3 * kGiB, work, not_kept(), kRoomy, fast_machine());
  ASSERT_TRUE(few.ok());
  EXPECT_EQ(few->workload.sequences, 5U);
  EXPECT_EQ(few->lines.bound_by, "requests");

  // One line is what any number of them needs at least.
  const auto none = model.plan(kMiB, work, not_kept(), kRoomy, fast_machine());
  ASSERT_TRUE(none.ok());
  EXPECT_FALSE(none->fits);
  EXPECT_EQ(none->lines, LinesPlan{});
  const auto least = model.plan(none->minimum_bytes, work, not_kept(), kRoomy, fast_machine());
  ASSERT_TRUE(least.ok());
  EXPECT_TRUE(least->fits);
}

TEST(ChooseLines, MoreAreNotTakenThanThereAreRequests) {
  const Model model(k1B);
  const auto plan = model.plan(
      4 * kGiB, {.prompt_tokens = 50, .max_new_tokens = 50, .sequences = 64, .requests = 3});
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->workload.sequences, 3U);
  EXPECT_EQ(plan->estimate.requests, 3U);
}

TEST(ChooseLines, NonsenseIsRefusedAndTheMostIsCounted) {
  const Model model(kTiny);
  for (const Workload& work :
       {Workload{.prompt_tokens = 1, .sequences = 0, .requests = 0},
        Workload{.prompt_tokens = 1, .requests = kMostRequests + 1},
        Workload{.prompt_tokens = 1, .sequences = 0, .requests = SIZE_MAX},
        Workload{.prompt_tokens = 1, .sequences = SIZE_MAX, .requests = 5}}) {
    const auto plan = model.plan(kGiB, work);
    ASSERT_FALSE(plan.ok());
    EXPECT_EQ(plan.error().kind, ErrorKind::invalid_argument);
  }
  for (const std::size_t sequences : {std::size_t{0}, std::size_t{1}, kMostSequences}) {
    const auto most = model.plan(kGiB, {.prompt_tokens = 100'000,
                                        .max_new_tokens = SIZE_MAX,
                                        .sequences = sequences,
                                        .requests = kMostRequests,
                                        .context_tokens = SIZE_MAX});
    ASSERT_TRUE(most.ok()) << most.error().message;
    EXPECT_TRUE(std::isfinite(most->estimate.total_s));
    EXPECT_GT(most->estimate.total_s, 0);
    EXPECT_EQ(most->estimate.requests, kMostRequests);
  }
}

TEST(ChooseLines, MoreMemoryIsNeverSlower) {
  for (const Shape& shape : {k1B, k8B}) {
    const Model model(shape);
    for (const auto& [prompt, made] : {std::pair{100, 400}, {2000, 200}}) {
      double slowest = 0;
      for (const std::uint64_t gib : {64, 32, 20, 12, 8, 4, 2, 1}) {
        const auto plan = model.plan(gib * kGiB,
                                     {.prompt_tokens = static_cast<std::size_t>(prompt),
                                      .max_new_tokens = static_cast<std::size_t>(made),
                                      .sequences = 0,
                                      .requests = 2000},
                                     not_kept(), kRoomy, fast_machine());
        ASSERT_TRUE(plan.ok());
        ASSERT_TRUE(plan->fits) << gib;
        // What pays may be 5 % away from the best, and the way of a candidate 3 %.
        EXPECT_GE(plan->estimate.total_s, slowest * 0.91) << gib << " " << prompt;
        slowest = std::max(slowest, plan->estimate.total_s);
      }
    }
  }
}

// 64 lines of 2200 tokens are 18 GB of keys and values.
TEST(ChooseLines, MemoryGoesToKeysAndValuesFirst) {
  const Model model(k8B);
  Workload work{.prompt_tokens = 2000, .max_new_tokens = 200, .sequences = 64, .requests = 1000};
  const auto plan = model.plan(3 * kGiB, work, not_kept(), kRoomy, fast_machine());
  ASSERT_TRUE(plan.ok());
  EXPECT_TRUE(plan->fits);
  EXPECT_TRUE(plan->kv.spills());
  EXPECT_GT(kv::frames_bytes(plan->kv), kGiB);
  EXPECT_LT(plan->pinned_bytes, kGiB / 4);
  EXPECT_LE(plan->memory.peak_bytes(), 3 * kGiB);
  // One line keeps its weights.
  work.sequences = 1;
  const auto one = model.plan(3 * kGiB, work, not_kept(), kRoomy, fast_machine());
  ASSERT_TRUE(one.ok());
  EXPECT_GT(one->pinned_bytes, kGiB);
  // Fewer lines, all of whose keys and values fit, are slower.
  work.sequences = 8;
  const auto few = model.plan(3 * kGiB, work, not_kept(), kRoomy, fast_machine());
  ASSERT_TRUE(few.ok());
  EXPECT_GT(few->estimate.total_s, plan->estimate.total_s);
}

TEST(ChooseLines, AModelThatFitsBesideItsKeysAndValuesStaysInMemory) {
  const Model model(k1B);
  const auto plan =
      model.plan(4 * kGiB, {.prompt_tokens = 400, .max_new_tokens = 100, .sequences = 64},
                 not_kept(), kRoomy, fast_machine());
  ASSERT_TRUE(plan.ok());
  EXPECT_FALSE(plan->kv.spills());
  EXPECT_EQ(plan->streamed_bytes, 0U);
  EXPECT_GE(plan->lines.pay, 16U);
}

}  // namespace
}  // namespace ollm::plan
