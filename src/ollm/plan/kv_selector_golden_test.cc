// Every rule of the KV selector against goldens that were spelt out from the specification
// (tests/fixtures/kv_rules/make.py).
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "ollm/plan/kv_selector.h"
#include "ollm/plan/payloads.h"

namespace ollm::plan {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr const char* kFolder = "tests/fixtures/kv_rules";
constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

std::vector<fs::path> goldens() {
  std::vector<fs::path> out;
  for (const auto& entry : fs::directory_iterator(kFolder))
    if (entry.path().extension() == ".json") out.push_back(entry.path());
  std::sort(out.begin(), out.end());
  return out;
}

Json read(const fs::path& file) {
  std::ifstream in(file);
  return Json::parse(in, nullptr, false);
}

PlanDraft plan_of(const Json& given) {
  PlanDraft plan;
  plan.backend_id = kOptimizedNative;
  plan.supports_disk_cache = given["supports_disk_cache"];
  plan.specialization_enabled = true;
  plan.details.set("execution_device_type", given["execution_device_type"]);
  ResolvedModel& model = plan.resolved_model;
  model.normalized_name = given["normalized_name"];
  model.native_family =
      given["native_family"] == "gemma3" ? NativeFamily::gemma3 : NativeFamily::llama;
  model.capabilities.requires_processor = given["requires_processor"];
  if (given["modalities"].size() == 2)
    model.capabilities.modalities = {ModelModality::text, ModelModality::image};
  return plan;
}

settings::RuntimeConfig config_of(const Json& given) {
  settings::RuntimeConfig config;
  config.strategy_selector_profile = given["strategy_selector_profile"];
  config.kv_cache_lifecycle = given["kv_cache_lifecycle"];
  config.use_cache = given["use_cache"];
  config.kv_ephemeral = given["kv_ephemeral"];
  if (!given["kv_cache_strategy"].is_null()) config.kv_cache_strategy = given["kv_cache_strategy"];
  if (!given["kv_cache_window_tokens"].is_null())
    config.kv_cache_window_tokens = given["kv_cache_window_tokens"];
  return config;
}

SelectorMachine machine_of(const Json& given) {
  SelectorMachine machine;
  machine.host_memory_bytes = given["host_gib"].get<std::uint64_t>() * kGiB;
  if (!given["accelerator_gib"].is_null())
    machine.accelerator_memory_bytes = given["accelerator_gib"].get<std::uint64_t>() * kGiB;
  return machine;
}

class KvRuleGolden : public ::testing::TestWithParam<fs::path> {};

TEST_P(KvRuleGolden, PutsTheseDetailsIntoThePlan) {
  const Json golden = read(GetParam());
  ASSERT_TRUE(golden.is_object());
  const Json& given = golden["given"];
  PlanDraft plan = plan_of(given);
  const auto why_not = [&](std::string_view strategy) -> std::optional<std::string> {
    const auto found = given["not_to_be_had"].find(std::string(strategy));
    if (found == given["not_to_be_had"].end()) return std::nullopt;
    return found->get<std::string>();
  };
  const auto kv = select_kv(plan, config_of(given), machine_of(given), why_not);
  if (golden.contains("refused")) {
    ASSERT_FALSE(kv.ok());
    EXPECT_EQ(kv.error().kind, ErrorKind::unsupported);
    EXPECT_EQ(kv.error().message, golden["refused"].get<std::string>());
    return;
  }
  ASSERT_TRUE(kv.ok()) << kv.error().message;
  plan.details = {};
  EXPECT_EQ(details_json(with_selection(plan, *kv).details).dump(2), golden["details"].dump(2));
}

std::string test_name(const ::testing::TestParamInfo<fs::path>& golden) {
  return golden.param.stem().string();
}

INSTANTIATE_TEST_SUITE_P(Rules, KvRuleGolden, ::testing::ValuesIn(goldens()), test_name);

// All of docs/resolving.md §5.
TEST(KvRuleGoldens, CoverEveryRule) {
  std::set<std::string> rules;
  for (const fs::path& golden : goldens())
    rules.insert(read(golden)["details"]["strategy_selector_rule_id"]);
  EXPECT_EQ(rules,
            (std::set<std::string>{"explicit-override", "bounded-window-profile",
                                   "explicit-window-budget", "no-disk-cache-support",
                                   "capacity-text-full-history", "capacity-multimodal-conservative",
                                   "latency-high-headroom-resident", "latency-conservative-paged",
                                   "balanced-small-model-resident", "balanced-paged-default"}));
}

}  // namespace
}  // namespace ollm::plan
