// Where the selector's strategy meets memory and disk: what both plans of a run say of keys and
// values together.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "ollm/plan/payloads.h"
#include "ollm/plan/plan_run.h"
#include "ollm/plan/plan_world.h"

namespace ollm::plan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Id = SpecializationPassId;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

class PlanRunKv : public ::testing::Test {
 protected:
  PlanRunKv() {
    Json config = tiny_config("llama", "LlamaForCausalLM");
    config["max_position_embeddings"] = 1 << 20;
    world_.model("work/tiny-1B", config, tiny_tensors());
    inputs_.environment = world_.environment();
    inputs_.machine.cores = 1;
    inputs_.machine.total_bytes = inputs_.machine.available_bytes = std::uint64_t{32} << 30;
    inputs_.machine.isas = {backend::Isa::scalar};
    inputs_.workload = {.prompt_tokens = 1000, .max_new_tokens = 10};
    config_.model_reference = "./tiny-1B";
    config_.memory = 2048 * kMiB;
  }

  PlannedRun plan() {
    auto planned = plan_run(inputs_);
    EXPECT_TRUE(planned.ok()) << planned.error().message;
    EXPECT_TRUE(planned.ok() && planned->execution.has_value());
    return planned.ok() ? *std::move(planned) : PlannedRun{};
  }
  static std::string detail(const PlannedRun& run, const std::string& name) {
    const std::string* value = run.runtime().details.find("strategy_selector_" + name);
    return value == nullptr ? "" : *value;
  }

  World world_;
  RunInputs inputs_;
  settings::RuntimeConfig& config_ = inputs_.settings.runtime;
};

TEST_F(PlanRunKv, IsKeptByDefault) {
  const PlannedRun run = plan();
  const KvPlan kv = execution_plan(*run.execution).kv;
  EXPECT_EQ(kv.strategy, "paged");
  EXPECT_EQ(kv.lifecycle, "persistent");
  EXPECT_EQ(kv.folder, world_.root() / "home/.cache/ollm/kv");
  EXPECT_TRUE(kv.disk_free_bytes.has_value());
  EXPECT_EQ(kv.frames, kv.blocks);
  EXPECT_TRUE(run.runtime().supports_disk_cache);
  EXPECT_THAT(
      run.runtime().specialization_pass_ids,
      ElementsAre(Id::disk_cache, Id::weight_pinning, Id::chunked_prefill, Id::prefix_reuse));
  EXPECT_EQ(run.reference.effective.kv_cache_strategy, "paged");
}

TEST_F(PlanRunKv, OfTheGenericBackendIsKeptAsWell) {
  config_.backend = kNativeGeneric;
  const PlannedRun run = plan();
  EXPECT_TRUE(run.runtime().supports_disk_cache);
  EXPECT_TRUE(run.runtime().specialization_pass_ids.empty());
  EXPECT_EQ(*run.runtime().details.find("generic_pass_ids"),
            "disk-cache,weight-pinning,chunked-prefill,prefix-reuse");
  EXPECT_TRUE(run.execution->kv.pool.has_value());
  EXPECT_EQ(as_dict(run.runtime()).size(), 16U);
}

TEST_F(PlanRunKv, WithoutACacheIsResidentWhereMemoryHoldsIt) {
  config_.use_cache = false;
  const PlannedRun run = plan();
  const KvPlan kv = execution_plan(*run.execution).kv;
  EXPECT_EQ(kv.strategy, "resident");
  EXPECT_EQ(kv.lifecycle, "runtime-scoped");
  EXPECT_EQ(kv.folder, std::nullopt);
  EXPECT_FALSE(run.runtime().supports_disk_cache);
  EXPECT_THAT(run.runtime().specialization_pass_ids,
              ElementsAre(Id::weight_pinning, Id::chunked_prefill));
  EXPECT_EQ(detail(run, "rule_id"), "no-disk-cache-support");
  EXPECT_EQ(detail(run, "applied_kv_cache_strategy"), "resident");
  EXPECT_EQ(run.reference.effective.kv_cache_strategy, "resident");
}

TEST_F(PlanRunKv, WithoutACacheGoesToFilesWithoutANameWhereMemoryDoesNot) {
  config_.use_cache = false;
  config_.memory = 64 * kMiB;
  inputs_.workload.prompt_tokens = 1'000'000;
  const PlannedRun run = plan();
  ASSERT_TRUE(run.execution->fits);
  EXPECT_TRUE(run.execution->kv.spills());
  EXPECT_FALSE(run.execution->kv.pool->kept);
  EXPECT_FALSE(run.execution->kv.reuses);
  EXPECT_TRUE(run.runtime().supports_disk_cache);
  EXPECT_EQ(detail(run, "rule_id"), "balanced-paged-default");
  EXPECT_EQ(detail(run, "applied_kv_cache_strategy"), "paged");
  const auto& passes = run.runtime().specialization_pass_ids;
  EXPECT_EQ(std::count(passes.begin(), passes.end(), Id::disk_cache), 1);
  EXPECT_EQ(std::count(passes.begin(), passes.end(), Id::prefix_reuse), 0);
}

TEST_F(PlanRunKv, AskedForByNameAndNotKeptIsTaken) {
  config_.use_cache = false;
  config_.kv_cache_strategy = "streamed-segmented";
  const PlannedRun run = plan();
  EXPECT_EQ(run.execution->kv.strategy, "streamed-segmented");
  EXPECT_EQ(run.execution->kv.block_tokens, 512U);
  ASSERT_TRUE(run.execution->kv.pool.has_value());
  EXPECT_FALSE(run.execution->kv.pool->kept);
  EXPECT_EQ(run.execution->kv.frames, run.execution->kv.max_blocks);
}

TEST_F(PlanRunKv, EphemeralIsUsedAgainAndNotKept) {
  config_.kv_ephemeral = true;
  const PlannedRun run = plan();
  ASSERT_TRUE(run.execution->kv.pool.has_value());
  EXPECT_FALSE(run.execution->kv.pool->kept);
  EXPECT_TRUE(run.execution->kv.reuses);
  EXPECT_GT(run.execution->kv.pool->index_bytes, 0u);  // that it is found by
  EXPECT_EQ(detail(run, "applied_kv_cache_lifecycle"), "runtime-scoped");
  EXPECT_EQ(run.runtime().specialization_pass_ids.back(), Id::prefix_reuse);
}

TEST_F(PlanRunKv, ARuleThatAnswersResidentGoesDownItsListWhereMemoryDoesNotHoldIt) {
  inputs_.machine.total_bytes = std::uint64_t{64} << 30;
  config_.kv_cache_lifecycle = "runtime-scoped";
  const PlannedRun held = plan();
  EXPECT_EQ(detail(held, "rule_id"), "balanced-small-model-resident");
  EXPECT_EQ(held.execution->kv.strategy, "resident");
  EXPECT_FALSE(held.runtime().supports_disk_cache);
  config_.memory = 64 * kMiB;
  inputs_.workload.prompt_tokens = 1'000'000;
  const PlannedRun run = plan();
  EXPECT_TRUE(run.execution->fits);
  EXPECT_EQ(detail(run, "rule_id"), "balanced-small-model-resident");
  EXPECT_EQ(detail(run, "applied_kv_cache_strategy"), "paged");
  EXPECT_THAT(detail(run, "reason"), HasSubstr("resident was not taken: the budget"));
  EXPECT_EQ(run.execution->kv.strategy, "paged");
  EXPECT_FALSE(run.execution->kv.pool->kept);
}

TEST_F(PlanRunKv, ResidentByNameIsRefusedWhereMemoryDoesNotHoldIt) {
  config_.kv_cache_strategy = "resident";
  config_.memory = 64 * kMiB;
  inputs_.workload.prompt_tokens = 1'000'000;
  const PlannedRun run = plan();
  EXPECT_FALSE(run.execution->fits);
  const auto refused = check_can_run(run);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::out_of_budget);
}

TEST_F(PlanRunKv, OfAScoreIsNotStored) {
  inputs_.workload.all_logits = true;
  const PlannedRun run = plan();
  EXPECT_EQ(run.execution->kv.strategy, "resident");
  EXPECT_FALSE(run.execution->kv.pool.has_value());
  EXPECT_THAT(detail(run, "reason"), HasSubstr("nothing is stored"));
  EXPECT_TRUE(run.config.use_cache);  // as asked for
}

TEST_F(PlanRunKv, WhoHasNoHomeIsToldWhatToSet) {
  inputs_.environment.variables.erase("HOME");
  const auto refused = plan_run(inputs_);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::invalid_argument);
  EXPECT_THAT(refused.error().message, HasSubstr("XDG_CACHE_HOME"));
  config_.use_cache = false;
  EXPECT_EQ(plan().execution->kv.strategy, "resident");
  config_.use_cache = true;
  config_.kv_cache_strategy = "resident";
  EXPECT_EQ(plan().execution->kv.strategy, "resident");
}

TEST_F(PlanRunKv, AFallbackKeepsTheSame) {
  const PlannedRun run = plan();
  const auto broken = broken_contract(run.runtime(), LoadedArtifacts{});
  ASSERT_TRUE(broken.has_value());
  EXPECT_EQ(broken->failed_pass_id, Id::disk_cache);
  const auto fallback = plan_fallback(run, *broken);
  ASSERT_TRUE(fallback.ok()) << fallback.error().message;
  EXPECT_EQ(fallback->execution.kv.strategy, "paged");
  EXPECT_TRUE(fallback->selection.plan.supports_disk_cache);
  EXPECT_EQ(*fallback->selection.plan.details.find("generic_pass_ids"),
            "disk-cache,weight-pinning,chunked-prefill,prefix-reuse");
}

}  // namespace
}  // namespace ollm::plan
