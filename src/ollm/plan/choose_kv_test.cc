// What a plan makes of keys and values: in memory, kept, or on disk as memory cannot hold them.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <random>
#include <string>

#include "ollm/kv/strategies.h"
#include "ollm/plan/kv_decisions.h"
#include "ollm/plan/shaped_model.h"

namespace ollm::plan {
namespace {

using ::testing::HasSubstr;

const CacheStorage kRoomy{"/cache/kv", 7, 4000 * kGiB, 2000 * kGiB};

Wishes kept() {
  Wishes wishes;
  wishes.kv = {.strategy = "paged", .kept = true, .reused = true};
  return wishes;
}

// As `--no-cache` has it.
Wishes not_kept() {
  Wishes wishes;
  wishes.kv = {.strategy = "paged"};
  return wishes;
}

std::map<std::string, std::uint64_t> ledger(const LoadPlan& plan) {
  std::map<std::string, std::uint64_t> bytes;
  for (const memory::LedgerLine& line : plan.memory.lines()) bytes[line.owner] += line.bytes;
  return bytes;
}

std::string because(const LoadPlan& plan, std::string_view what) {
  for (const Decision& decision : plan.decisions)
    if (decision.what == what) return decision.chosen + ": " + decision.because;
  return "";
}

TEST(ChooseKv, WhatIsNotKeptAndFitsIsResident) {
  const Model model(k1B);
  for (const std::uint64_t budget : {512 * kMiB, kGiB, 64 * kGiB}) {
    const Workload work{.prompt_tokens = 800, .max_new_tokens = 5};
    const auto today = model.plan(budget, work);
    const auto plan = model.plan(budget, work, not_kept(), kRoomy);
    ASSERT_TRUE(today.ok() && plan.ok());
    EXPECT_EQ(plan->kv.strategy, "resident");
    EXPECT_EQ(plan->kv.block_tokens, 64U);
    EXPECT_EQ(plan->kv.frames, plan->kv.max_blocks);
    EXPECT_FALSE(plan->kv.pool.has_value());
    EXPECT_EQ(plan->memory.lines(), today->memory.lines());
    EXPECT_EQ(plan->estimate, today->estimate);
    EXPECT_EQ(plan->decisions, today->decisions);
  }
}

TEST(ChooseKv, WhatIsKeptHasAFrameForEveryBlockWhereMemoryHoldsThem) {
  const Model model(k1B);
  const auto plan =
      model.plan(8 * kGiB, {.prompt_tokens = 30000, .max_new_tokens = 100}, kept(), kRoomy);
  ASSERT_TRUE(plan.ok());
  const kv::Options& kv = plan->kv;
  EXPECT_EQ(kv.strategy, "paged");
  EXPECT_EQ(kv.block_tokens, 128U);
  EXPECT_FALSE(kv.spills());
  EXPECT_EQ(kv.ring_slots, 0U);
  ASSERT_TRUE(kv.pool.has_value());
  EXPECT_TRUE(kv.pool->kept);
  EXPECT_TRUE(kv.reuses);
  EXPECT_EQ(kv.pool->folder, "/cache/kv");
  auto bytes = ledger(*plan);
  EXPECT_EQ(bytes["kv"], kv::frames_bytes(kv));
  EXPECT_EQ(bytes["kv table"], kv::table_bytes(kv));
  EXPECT_EQ(bytes["kv index"], 16 * kMiB);
  EXPECT_GT(bytes["kv writer"], kMiB);
  EXPECT_EQ(bytes.count("kv ring"), 0U);
  const KvPlan told = execution_plan(*plan).kv;
  EXPECT_EQ(told.lifecycle, "persistent");
  EXPECT_EQ(told.read_bytes_per_token, 0U);
  EXPECT_EQ(told.bytes_per_token, 32768U);  // 16 layers, 8 heads of 64, keys and values, bf16
  EXPECT_EQ(told.written_bytes, 30099U * 32768);
  EXPECT_EQ(told.disk_bytes, told.bytes);
  EXPECT_EQ(told.disk_free_bytes, 2000 * kGiB);
  EXPECT_THAT(because(*plan, "kv.frames"), HasSubstr("all"));
  EXPECT_THAT(because(*plan, "kv.disk"), HasSubstr("/cache/kv"));
  EXPECT_THAT(because(*plan, "kv.disk"), HasSubstr("--no-cache"));
}

TEST(ChooseKv, WhatMemoryCannotHoldIsOnDisk) {
  const Model model(k1B);
  for (const Wishes& wishes : {kept(), not_kept()}) {
    const auto plan = model.plan(kGiB, {.prompt_tokens = 100'000, .max_new_tokens = 100}, wishes,
                                 kRoomy, fast_machine());
    ASSERT_TRUE(plan.ok());
    EXPECT_TRUE(plan->fits);
    const kv::Options& kv = plan->kv;
    EXPECT_TRUE(kv.spills());
    EXPECT_EQ(kv.strategy, "paged");
    EXPECT_EQ(kv.tail_frames, kv::least_frames(kv, plan->engine.max_rows, 1));
    EXPECT_GE(kv.frames, kv.tail_frames);
    EXPECT_EQ(kv.ring_slots, 8U);
    EXPECT_EQ(kv.slot_bytes % io::File::kDirectAlignment, 0U);
    EXPECT_EQ(ledger(*plan)["kv ring"], kv::ring_bytes(kv));
    ASSERT_TRUE(kv.pool.has_value());
    EXPECT_EQ(kv.pool->kept, wishes.kv.kept);
    EXPECT_EQ(kv.reuses, wishes.kv.reused);
    EXPECT_LE(plan->memory.peak_bytes(), kGiB);
    const KvPlan told = execution_plan(*plan).kv;
    const std::uint64_t pinned = (kv.frames - kv.tail_frames) * kv.block_tokens;
    EXPECT_EQ(told.read_bytes_per_token, (100'050 - pinned) * 32768);
    EXPECT_EQ(plan->estimate.bytes_per_sweep, plan->streamed_bytes + told.read_bytes_per_token);
    EXPECT_EQ(plan->estimate.bound_by, "disk");
    EXPECT_EQ(told.written_bytes, (100'099 - (wishes.kv.reused ? 0 : pinned)) * 32768);
    EXPECT_EQ(told.lifecycle, wishes.kv.kept ? "persistent" : "runtime-scoped");
    EXPECT_THAT(because(*plan, "kv.frames"), HasSubstr("read from disk by every sweep"));
    EXPECT_NE(because(*plan, "kv.reads"), "");
  }
}

TEST(ChooseKv, ResidentStaysInMemoryWhateverItTakes) {
  const Model model(k1B);
  const auto plan = model.plan(kGiB, {.prompt_tokens = 100'000}, {}, kRoomy);
  ASSERT_TRUE(plan.ok());
  EXPECT_FALSE(plan->fits);
  EXPECT_GT(plan->minimum_bytes, 3 * kGiB);
}

TEST(ChooseKv, TheContextHardlyRaisesTheSmallestBudget) {
  const Model model(k1B);
  const auto shorter = model.plan(kGiB, {.prompt_tokens = 2'000}, kept(), kRoomy);
  const auto longer = model.plan(kGiB, {.prompt_tokens = 120'000}, kept(), kRoomy);
  ASSERT_TRUE(shorter.ok() && longer.ok());
  EXPECT_LT(longer->minimum_bytes, shorter->minimum_bytes + 16 * kMiB);
}

TEST(ChooseKv, MoreMemoryHoldsMoreAndIsNeverSlower) {
  const Model model(k1B);
  const Workload work{.prompt_tokens = 100'000, .max_new_tokens = 100};
  std::uint64_t read = UINT64_MAX;
  double slowest = 1e30;
  for (const std::uint64_t gib : {1, 2, 3, 4, 5, 6, 7}) {
    const auto plan = model.plan(gib * kGiB, work, kept(), kRoomy, fast_machine());
    ASSERT_TRUE(plan.ok());
    EXPECT_TRUE(plan->fits);
    EXPECT_LT(plan->estimate.bytes_per_sweep, read) << gib;
    EXPECT_LE(plan->estimate.total_s, slowest * 1.01) << gib;
    EXPECT_GT(plan->memory.peak_bytes() + 64 * kMiB,
              std::min<std::uint64_t>(gib * kGiB, 5600 * kMiB));
    read = std::max<std::uint64_t>(1, plan->estimate.bytes_per_sweep);
    slowest = plan->estimate.total_s;
  }
}

// As TheMinimumIsExactForAnyWishes, with keys and values on disks of any size.
TEST(ChooseKv, TheSmallestBudgetIsExact) {
  std::mt19937 random(13);
  const auto one_of = [&](std::initializer_list<std::size_t> values) {
    return *(values.begin() + static_cast<std::ptrdiff_t>(random() % values.size()));
  };
  const Shape wide{256, 3072, 2, 4, 4, 64, 2000, false};
  const Model models[] = {Model(kTiny), Model(wide), Model(k1B)};
  for (int round = 0; round < 200; ++round) {
    const Model& model = models[round % 3];
    Workload work;
    work.prompt_tokens = 1 + random() % one_of({8, 300, 5000, 60'000});
    work.max_new_tokens = random() % 300;
    work.sequences = one_of({1, 1, 2, 8, 33});
    work.all_logits = random() % 4 == 0;
    Wishes wishes;
    if (random() % 2 == 0) wishes.prefill_chunk = one_of({1, 7, 64, 97, 512, 3000});
    const kv::Strategy& row = kv::kStrategies[random() % kv::kStrategies.size()];
    wishes.kv.strategy = row.id;
    wishes.kv.reused = random() % 2 == 0;
    wishes.kv.kept = wishes.kv.reused && random() % 2 == 0;
    wishes.kv.by_name = random() % 2 == 0;
    CacheStorage cache = kRoomy;
    cache.free_bytes = one_of({0, 3, 40, 700, 100'000}) * kMiB;
    const std::uint64_t budget = one_of({1, 30, 200, 4000, 60'000}) * kMiB;
    SCOPED_TRACE(fmt::format(
        "round {}: hidden {}, prompt {}, new {}, {} sequences, chunk {}, {}{}{}, {} MiB of disk, "
        "from {} MiB",
        round, model.composition.hidden_size, work.prompt_tokens, work.max_new_tokens,
        work.sequences, wishes.prefill_chunk.value_or(0), wishes.kv.strategy,
        wishes.kv.reused ? ", reused" : "", wishes.kv.kept ? ", kept" : "",
        *cache.free_bytes / kMiB, budget / kMiB));
    const auto any = model.plan(budget, work, wishes, cache);
    ASSERT_TRUE(any.ok()) << any.error().message;
    EXPECT_EQ(any->fits, budget >= any->minimum_bytes);
    const auto least = model.plan(any->minimum_bytes, work, wishes, cache);
    ASSERT_TRUE(least.ok());
    EXPECT_TRUE(least->fits) << any->minimum_bytes / kMiB;
    EXPECT_LE(least->memory.peak_bytes(), any->minimum_bytes);
    EXPECT_EQ(least->minimum_bytes, any->minimum_bytes);
    if (least->kv.spills() && !least->kv.reuses) {
      EXPECT_LE(kv_disk_bytes(least->kv), *cache.free_bytes);
    }
    const auto less = model.plan(any->minimum_bytes - kMiB, work, wishes, cache);
    ASSERT_TRUE(less.ok());
    EXPECT_FALSE(less->fits) << any->minimum_bytes / kMiB;
  }
}

TEST(ChooseKv, ADiskTooSmallForTheRestIsRefusedWithTheContextThatWould) {
  const Model model(k1B);
  CacheStorage small = kRoomy;
  small.free_bytes = kGiB;
  const Workload work{.prompt_tokens = 100'000, .max_new_tokens = 100};
  const auto plan = model.plan(kGiB, work, not_kept(), small);
  ASSERT_TRUE(plan.ok());
  EXPECT_FALSE(plan->fits);
  const std::string why = why_not_on_disk(*plan, small, not_kept().kv);
  EXPECT_THAT(why, HasSubstr("1.0 GiB free"));
  EXPECT_THAT(why, HasSubstr("--context 32768"));
  Wishes shorter = not_kept();
  shorter.context_tokens = 32'768;
  const auto fits = model.plan(kGiB, {.prompt_tokens = 32'000}, shorter, small);
  ASSERT_TRUE(fits.ok());
  EXPECT_TRUE(fits->fits);
  EXPECT_TRUE(fits->kv.spills());
  // More memory does as well: it holds what the disk does not.
  const auto richer = model.plan(plan->minimum_bytes, work, not_kept(), small);
  ASSERT_TRUE(richer.ok());
  EXPECT_TRUE(richer->fits);
  EXPECT_LE(kv_disk_bytes(richer->kv), kGiB);
}

TEST(ChooseKv, ADiskTooSmallForWhatIsKeptKeepsLessAndSaysSo) {
  const Model model(k1B);
  CacheStorage small = kRoomy;
  small.free_bytes = 300 * kGiB;  // of which 200 are the reserve
  Wishes wishes = kept();
  wishes.kv.cap_bytes = 512 * kMiB;
  const auto plan = model.plan(8 * kGiB, {.prompt_tokens = 100'000}, wishes, small);
  ASSERT_TRUE(plan.ok());
  EXPECT_TRUE(plan->fits);
  EXPECT_EQ(plan->kv.pool->cap_bytes, 512 * kMiB);
  EXPECT_THAT(because(*plan, "kv.disk"), HasSubstr("keeps less"));
  EXPECT_EQ(room_to_keep(small, {}), 64 * kGiB);
  small.free_bytes = 210 * kGiB;
  EXPECT_EQ(room_to_keep(small, {}), 10 * kGiB);
}

TEST(ChooseKv, WithoutAFolderNothingGoesToDisk) {
  const Model model(k1B);
  const auto plan = model.plan(kGiB, {.prompt_tokens = 100'000}, not_kept(), {});
  ASSERT_TRUE(plan.ok());
  EXPECT_FALSE(plan->fits);
  EXPECT_FALSE(plan->kv.pool.has_value());
  EXPECT_THAT(why_not_on_disk(*plan, {}, not_kept().kv), HasSubstr("--cache-dir"));
}

TEST(ChooseKv, EachStrategyHasItsBlocksAndStripes) {
  const Model model(k8B);
  for (const kv::Strategy& row : kv::kStrategies) {
    if (row.writing == kv::Writing::never) continue;
    Wishes wishes = kept();
    wishes.kv.strategy = row.id;
    wishes.kv.by_name = true;
    const auto plan =
        model.plan(3 * kGiB, {.prompt_tokens = 50'000, .max_new_tokens = 10}, wishes, kRoomy);
    ASSERT_TRUE(plan.ok());
    EXPECT_TRUE(plan->fits) << row.id;
    EXPECT_EQ(plan->kv.strategy, row.id);
    EXPECT_EQ(plan->kv.block_tokens, row.block_tokens);
    EXPECT_EQ(plan->kv.pool->stripe_part_bytes, row.stripe_part_bytes);
    EXPECT_EQ(plan->kv.slot_bytes % kv::stored_part_bytes(plan->kv, plan->kv.layers.front()), 0U);
  }
}

TEST(ChooseKv, LayersWithAWindowReadNoMoreThanIt) {
  SweepSizes sizes;
  sizes.kv_bytes_per_token = 30;
  sizes.kv_groups = {{.layers = 1, .bytes_per_token = 10},
                     {.layers = 2, .bytes_per_token = 20, .window = 100}};
  sizes.kv_resident_tokens = 40;
  sizes.kv_written_from = 0;
  sizes.kv_written_bytes_per_token = 17;
  sizes.chunk_rows = 500;
  machine::Rates rates;
  rates.memory_bytes_per_second = rates.disk_bytes_per_second = rates.attention_flops = 1e9;
  rates.matmul = {{1, 1e9}};
  const KvTraffic traffic =
      kv_traffic(Model(kTiny).composition, sizes, rates,
                 {.prompt_tokens = 1000, .max_new_tokens = 1, .sequences = 1});
  EXPECT_EQ(traffic.prefill_read_bytes, (500U - 40) * 10 + (100 - 40) * 20);
  EXPECT_EQ(traffic.read_bytes_per_token, 9605U + (100 - 40) * 20);
  EXPECT_EQ(traffic.written_bytes, 17'000U);
}

TEST(ChooseKv, LayersWithAWindowTakeNoMoreForALongerContext) {
  Model model(k1B);
  for (std::size_t i = 0; i < model.composition.layers.size(); ++i)
    if (i % 4 != 3)
      std::get<models::AttentionSpec>(model.composition.layers[i].mixer).window = 1024;
  const Model whole(k1B);
  const Workload work{.prompt_tokens = 100'000, .max_new_tokens = 100};
  for (const std::uint64_t budget : {kGiB / 4, kGiB, 4 * kGiB}) {
    const auto plan = model.plan(budget, work, not_kept(), kRoomy, fast_machine());
    const auto of_whole = whole.plan(budget, work, not_kept(), kRoomy, fast_machine());
    ASSERT_TRUE(plan.ok() && of_whole.ok());
    EXPECT_TRUE(plan->fits);
    const KvPlan kv = execution_plan(*plan).kv;
    const KvPlan kv_of_whole = execution_plan(*of_whole).kv;
    ASSERT_EQ(kv.groups.size(), 2U);
    EXPECT_EQ(kv.groups[0].window, 1024U);
    EXPECT_EQ(kv.groups[1].window, 0U);
    EXPECT_LT(kv.bytes, kv_of_whole.bytes / 3);
    EXPECT_LE(kv.disk_bytes, kv_of_whole.disk_bytes / 3);
    EXPECT_LE(kv.read_bytes_per_token, kv_of_whole.read_bytes_per_token / 3);
  }
  // What is kept of them are the windows before entries: every 4096 tokens, and two.
  const auto plan = model.plan(16 * kGiB, work, kept(), kRoomy);
  const auto of_whole = whole.plan(16 * kGiB, work, kept(), kRoomy);
  ASSERT_TRUE(plan.ok() && of_whole.ok());
  const KvPlan kv = execution_plan(*plan).kv;
  const KvPlan kv_of_whole = execution_plan(*of_whole).kv;
  const double share = 0.25 + 0.75 * 26 * 9 / 783;
  EXPECT_NEAR(static_cast<double>(kv.disk_bytes) / static_cast<double>(kv_of_whole.disk_bytes),
              share, 0.01);
  EXPECT_NEAR(
      static_cast<double>(kv.written_bytes) / static_cast<double>(kv_of_whole.written_bytes), share,
      0.01);

  CacheStorage small = kRoomy;
  small.free_bytes = kGiB;
  const auto fits = model.plan(kGiB / 2, work, not_kept(), small);
  ASSERT_TRUE(fits.ok());
  EXPECT_TRUE(fits->fits);
}

TEST(ChooseKv, EqualInputsGiveEqualPlans) {
  const Model model(k1B);
  const Workload work{.prompt_tokens = 100'000, .max_new_tokens = 5};
  EXPECT_EQ(execution_plan(*model.plan(kGiB, work, kept(), kRoomy)),
            execution_plan(*model.plan(kGiB, work, kept(), kRoomy)));
}

TEST(CacheStorage, IsThatOfTheNearestFolderThatIsThere) {
  const CacheStorage root = cache_storage("/", io::posix());
  const CacheStorage below = cache_storage("/nowhere/at/all/kv", io::posix());
  EXPECT_EQ(below.folder, "/nowhere/at/all/kv");
  EXPECT_EQ(below.total_bytes, root.total_bytes);
  EXPECT_EQ(below.device, root.device);
  ASSERT_TRUE(below.free_bytes.has_value());
  EXPECT_EQ(*below.free_bytes % kMiB, 0U);
}

}  // namespace
}  // namespace ollm::plan
