// Every rule of the KV selector, its dimensions and its details (docs/resolving.md §5).
#include "ollm/plan/kv_selector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ollm/kv/strategies.h"

namespace ollm::plan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

// A plan of llama-native on the CPU that has a disk cache.
PlanDraft disk_plan(std::string_view name = "llama3-8B-chat") {
  PlanDraft plan;
  plan.backend_id = kOptimizedNative;
  plan.supports_disk_cache = true;
  plan.specialization_enabled = true;
  plan.details.set("execution_device_type", "cpu");
  plan.resolved_model.normalized_name = name;
  plan.resolved_model.native_family = NativeFamily::llama;
  return plan;
}

SelectorMachine machine(std::uint64_t gib = 32) {
  SelectorMachine out;
  out.host_memory_bytes = gib * kGiB;
  return out;
}

struct RuleCase {
  const char* rule;
  const char* profile;
  const char* model;
  std::uint64_t host_gib;
  bool multimodal;
  std::vector<std::string> chain;
};

TEST(KvSelector, TakesTheFirstRuleThatHolds) {
  const std::vector<std::string> paged = {"paged", "chunked", "resident"};
  const std::vector<std::string> resident = {"resident", "paged", "chunked"};
  const RuleCase cases[] = {
      {"capacity-text-full-history",
       "capacity",
       "a-8B",
       32,
       false,
       {"quantized-cold-tier", "paged", "chunked", "resident"}},
      {"capacity-multimodal-conservative", "capacity", "a-8B", 32, true, paged},
      {"latency-high-headroom-resident", "latency", "a-8B", 64, false, resident},
      {"latency-high-headroom-resident", "latency", "a-1B", 64, false, resident},
      {"latency-conservative-paged", "latency", "a-8B", 63, false, paged},
      {"latency-conservative-paged", "latency", "a-70B", 64, false, paged},
      {"latency-conservative-paged", "latency", "a", 64, false, paged},
      {"latency-conservative-paged", "latency", "a-8B", 64, true, paged},
      {"balanced-small-model-resident", "balanced", "a-4B", 64, false, resident},
      {"balanced-paged-default", "balanced", "a-4B", 63, false, paged},
      {"balanced-paged-default", "balanced", "a-4.1B", 64, false, paged},
      {"balanced-paged-default", "balanced", "a-4B", 64, true, paged},
  };
  for (const RuleCase& row : cases) {
    PlanDraft plan = disk_plan(row.model);
    if (row.multimodal) plan.resolved_model.capabilities.modalities.push_back(ModelModality::image);
    settings::RuntimeConfig config;
    config.strategy_selector_profile = row.profile;
    config.kv_cache_lifecycle = "runtime-scoped";
    const auto kv = select_kv(plan, config, machine(row.host_gib));
    ASSERT_TRUE(kv.ok()) << kv.error().message;
    EXPECT_EQ(kv->rule_id, row.rule) << row.model << " " << row.host_gib;
    EXPECT_EQ(kv->fallback_chain, row.chain) << row.rule;
    EXPECT_EQ(kv->selected, row.chain.front());
    EXPECT_EQ(kv->applied, row.chain.front());
    EXPECT_EQ(kv->requested_override, "");
  }
}

TEST(KvSelector, ALargeAcceleratorMakesSmallModelsResident) {
  PlanDraft plan = disk_plan("a-4B");
  plan.details.set("execution_device_type", "cuda");
  SelectorMachine small_host = machine(8);
  small_host.accelerator_memory_bytes = 24 * kGiB;
  settings::RuntimeConfig config;
  config.kv_cache_lifecycle = "runtime-scoped";
  EXPECT_EQ(select_kv(plan, config, small_host)->rule_id, "balanced-small-model-resident");
}

TEST(KvSelector, WhatIsStoredHasAFrameForEachBlockInsteadOfBeingResident) {
  settings::RuntimeConfig kept, used_again, fast;
  used_again.kv_ephemeral = true;
  fast.strategy_selector_profile = "latency";
  for (const settings::RuntimeConfig& config : {kept, used_again, fast}) {
    const auto kv = select_kv(disk_plan("a-1B"), config, machine(64));
    ASSERT_TRUE(kv.ok());
    EXPECT_EQ(kv->applied, "paged");
    EXPECT_THAT(kv->reason, HasSubstr("each block has a frame"));
    EXPECT_TRUE(reuses_kv(config, *kv));
    EXPECT_EQ(keeps_kv(config, *kv), !config.kv_ephemeral);
  }
  settings::RuntimeConfig without;
  without.use_cache = false;
  const auto kv = select_kv(disk_plan("a-1B"), without, machine(64));
  EXPECT_EQ(kv->applied, "resident");
  EXPECT_FALSE(reuses_kv(without, *kv));
  EXPECT_FALSE(keeps_kv(without, *kv));
}

TEST(KvSelector, CapacitySaysThatItChangesTheAnswer) {
  settings::RuntimeConfig config;
  config.strategy_selector_profile = "capacity";
  const auto kv = select_kv(disk_plan(), config, machine());
  ASSERT_TRUE(kv.ok());
  EXPECT_EQ(kv->applied, "quantized-cold-tier");
  EXPECT_THAT(kv->reason, HasSubstr("changes the answer"));
}

TEST(KvSelector, TakesWhatWasAskedForOrRefusesIt) {
  for (const kv::Strategy& strategy : kv::kStrategies) {
    settings::RuntimeConfig config;
    config.kv_cache_strategy = strategy.id;
    const auto kv = select_kv(disk_plan(), config, machine());
    ASSERT_TRUE(kv.ok()) << strategy.id;
    EXPECT_EQ(kv->rule_id, "explicit-override");
    EXPECT_EQ(kv->requested_override, strategy.id);
    EXPECT_EQ(kv->applied, strategy.id);
    EXPECT_THAT(kv->fallback_chain, ElementsAre(strategy.id));
  }
}

TEST(KvSelector, AWordThatIsNoStrategyIsRefused) {
  settings::RuntimeConfig config;
  config.kv_cache_strategy = "cold";
  const auto kv = select_kv(disk_plan(), config, machine());
  ASSERT_FALSE(kv.ok());
  EXPECT_EQ(kv.error().kind, ErrorKind::invalid_argument);
  EXPECT_THAT(kv.error().message, HasSubstr("quantized-cold-tier"));
}

TEST(KvSelector, AWindowIsAskedForByItsProfileOrItsSize) {
  settings::RuntimeConfig profile, window;
  profile.strategy_selector_profile = "bounded-window";
  window.kv_cache_window_tokens = 512;
  for (const settings::RuntimeConfig& config : {profile, window}) {
    const auto kv = select_kv(disk_plan(), config, machine());
    ASSERT_TRUE(kv.ok());
    EXPECT_EQ(kv->applied, "sliding-window-ring-buffer");
    EXPECT_EQ(kv->applied_lifecycle, "runtime-scoped");
  }
}

TEST(KvSelector, WithoutADiskCacheIsResidentAndSaysWhatWouldBePreferred) {
  PlanDraft plan = disk_plan();
  plan.supports_disk_cache = false;
  settings::RuntimeConfig config;
  config.strategy_selector_profile = "capacity";
  const auto kv = select_kv(plan, config, machine());
  ASSERT_TRUE(kv.ok());
  EXPECT_EQ(kv->rule_id, "no-disk-cache-support");
  EXPECT_EQ(kv->applied, "resident");
  EXPECT_THAT(kv->fallback_chain, ElementsAre("resident"));
  EXPECT_EQ(kv->reason,
            "the plan has no disk cache: its passes keep none; with one, "
            "capacity-text-full-history would prefer quantized-cold-tier, then paged, then "
            "chunked, then resident");
}

TEST(KvSelector, WhatWasAskedForAndNeedsADiskCacheIsRefusedWithoutOne) {
  PlanDraft plan = disk_plan();
  plan.supports_disk_cache = false;
  settings::RuntimeConfig strategy, resident;
  strategy.kv_cache_strategy = "paged";
  const auto kv = select_kv(plan, strategy, machine());
  ASSERT_FALSE(kv.ok());
  EXPECT_EQ(kv.error().kind, ErrorKind::unsupported);
  EXPECT_THAT(kv.error().message, HasSubstr("needs a disk cache"));
  resident.kv_cache_strategy = "resident";
  EXPECT_TRUE(select_kv(plan, resident, machine()).ok());
}

TEST(KvSelector, GoesDownTheListToTheFirstThatCanBeHad) {
  const auto why_not = [](std::string_view strategy) -> std::optional<std::string> {
    if (strategy == "resident") return std::nullopt;
    return "no room for it";
  };
  const auto kv = select_kv(disk_plan(), {}, machine(), why_not);
  ASSERT_TRUE(kv.ok());
  EXPECT_EQ(kv->selected, "paged");
  EXPECT_EQ(kv->applied, "resident");
  EXPECT_THAT(kv->reason, HasSubstr("paged was not taken: no room for it; chunked was not taken"));
  ASSERT_FALSE(kv->decisions.empty());
  EXPECT_EQ(kv->decisions.front().what, "kv.strategy");
  EXPECT_EQ(kv->decisions.front().chosen, "resident");
}

TEST(KvSelector, NothingThatCanBeHadIsAnError) {
  const auto why_not = [](std::string_view) -> std::optional<std::string> { return "no room"; };
  const auto kv = select_kv(disk_plan(), {}, machine(), why_not);
  ASSERT_FALSE(kv.ok());
  EXPECT_EQ(kv.error().kind, ErrorKind::out_of_budget);
}

TEST(KvSelector, ResidentIsRuntimeScopedAndSaysSo) {
  settings::RuntimeConfig config;
  config.kv_cache_lifecycle = "persistent";
  const auto paged = select_kv(disk_plan("a-8B"), config, machine());
  EXPECT_EQ(paged->applied_lifecycle, "persistent");
  EXPECT_EQ(with_selection(disk_plan(), *paged).details.find("strategy_selector_lifecycle_reason"),
            nullptr);
  config.kv_cache_strategy = "resident";
  const auto resident = select_kv(disk_plan("a-1B"), config, machine(64));
  EXPECT_EQ(resident->requested_lifecycle, "persistent");
  EXPECT_EQ(resident->applied_lifecycle, "runtime-scoped");
  EXPECT_NE(
      with_selection(disk_plan(), *resident).details.find("strategy_selector_lifecycle_reason"),
      nullptr);
  const settings::RuntimeConfig effective = effective_config(config, *resident);
  EXPECT_EQ(effective.kv_cache_strategy, "resident");
  EXPECT_EQ(effective.kv_cache_lifecycle, "runtime-scoped");
}

TEST(KvSelector, DetailsHaveTheirKeysInOrder) {
  const auto kv = select_kv(disk_plan(), {}, machine());
  std::vector<std::string> keys;
  const PlanDraft plan = with_selection(PlanDraft{}, *kv);
  for (const auto& [key, value] : plan.details) keys.push_back(key);
  EXPECT_THAT(
      keys,
      ElementsAre("strategy_selector_model_family", "strategy_selector_modality_bucket",
                  "strategy_selector_platform", "strategy_selector_accelerator_kind",
                  "strategy_selector_host_ram_tier", "strategy_selector_accelerator_memory_tier",
                  "strategy_selector_required_runtime_features",
                  "strategy_selector_model_size_tier", "strategy_selector_profile",
                  "strategy_selector_rule_id", "strategy_selector_requested_override",
                  "strategy_selector_selected_kv_cache_strategy",
                  "strategy_selector_applied_kv_cache_strategy", "strategy_selector_fallback_chain",
                  "strategy_selector_reason", "strategy_selector_requested_kv_cache_lifecycle",
                  "strategy_selector_applied_kv_cache_lifecycle"));
  EXPECT_EQ(*plan.details.find("strategy_selector_required_runtime_features"),
            "disk-cache-support,specialization-enabled");
  EXPECT_EQ(*plan.details.find("strategy_selector_fallback_chain"), "paged,chunked,resident");
}

TEST(KvSelector, TiersHaveTheirLimits) {
  const auto host = [](std::optional<std::uint64_t> bytes) {
    SelectorMachine out;
    out.host_memory_bytes = bytes;
    return selector_dimensions(disk_plan(), out).host_ram_tier;
  };
  EXPECT_EQ(host(std::nullopt), "unknown");
  EXPECT_EQ(host(16 * kGiB - 1), "small");
  EXPECT_EQ(host(16 * kGiB), "medium");
  EXPECT_EQ(host(64 * kGiB - 1), "medium");
  EXPECT_EQ(host(64 * kGiB), "large");
  const auto accelerator = [](std::string kind, std::optional<std::uint64_t> bytes) {
    PlanDraft plan = disk_plan();
    plan.details.set("execution_device_type", std::move(kind));
    SelectorMachine out;
    out.accelerator_memory_bytes = bytes;
    return selector_dimensions(plan, out).accelerator_memory_tier;
  };
  EXPECT_EQ(accelerator("cpu", 99 * kGiB), "none");
  EXPECT_EQ(accelerator("cuda", std::nullopt), "unknown");
  EXPECT_EQ(accelerator("cuda", 8 * kGiB - 1), "small");
  EXPECT_EQ(accelerator("cuda", 8 * kGiB), "medium");
  EXPECT_EQ(accelerator("cuda", 24 * kGiB), "large");
  EXPECT_EQ(selector_dimensions(PlanDraft{}, {}).accelerator_kind, "unknown");
}

TEST(KvSelector, SizesAreReadFromNames) {
  const auto billions = [](std::string name, std::string raw = "",
                           std::optional<std::string> repo = std::nullopt) {
    ResolvedModel model;
    model.normalized_name = std::move(name);
    model.reference.raw = std::move(raw);
    model.repo_id = std::move(repo);
    return billions_in_name(model);
  };
  EXPECT_EQ(billions("llama3-1B-chat"), 1.0);
  EXPECT_EQ(billions("Qwen3-Next-80B-A3B-Instruct"), 80.0);
  EXPECT_EQ(billions("qwen-0.5b"), 0.5);
  EXPECT_EQ(billions("v1.2.3b"), 2.3);
  EXPECT_EQ(billions("x", "y-7b"), 7.0);
  EXPECT_EQ(billions("x", "y", "org/z-3B"), 3.0);
  EXPECT_EQ(billions("gpt2", "3 b", "4-b"), std::nullopt);
}

}  // namespace
}  // namespace ollm::plan
