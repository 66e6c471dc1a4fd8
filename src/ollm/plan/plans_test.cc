// The plans as values: what their accessors say, and what as_dict makes of it.
#include "ollm/plan/plans.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "ollm/plan/passes.h"
#include "ollm/plan/plan_draft.h"

namespace ollm {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Id = SpecializationPassId;

std::vector<std::string> keys(const Value& value) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < value.size(); ++i) out.push_back(value.key(i));
  return out;
}

// The sixteen, in the order of the contract.
const std::vector<std::string> kKeys = {"backend_id",
                                        "model_path",
                                        "support_level",
                                        "generic_model_kind",
                                        "supports_disk_cache",
                                        "supports_cpu_offload",
                                        "supports_gpu_offload",
                                        "specialization_enabled",
                                        "specialization_applied",
                                        "specialization_provider_id",
                                        "specialization_state",
                                        "specialization_pass_ids",
                                        "applied_specialization_pass_ids",
                                        "fallback_reason",
                                        "reason",
                                        "details"};

plan::PlanDraft planned_draft() {
  plan::PlanDraft draft;
  draft.backend_id = kOptimizedNative;
  draft.specialization_provider_id = "llama-native";
  draft.specialization_enabled = true;
  draft.specialization_state = SpecializationState::planned;
  draft.specialization_pass_ids = {Id::mlp_chunking, Id::weight_pinning};
  draft.reason = "why";
  draft.details.set("provider_id", "llama-native");
  draft.details.set("pass_count", "2");
  draft.details.set("mlp_chunking_mode", "adaptive-headroom");
  draft.details.set("mlp_chunking_max_rows", "64");
  return draft;
}

TEST(RuntimePlanValue, OfNothingSaysSo) {
  const RuntimePlan plan;
  EXPECT_FALSE(plan.is_executable());
  EXPECT_EQ(plan.support_level(), SupportLevel::unsupported);
  EXPECT_EQ(plan.specialization_state(), SpecializationState::not_planned);
  EXPECT_EQ(plan.planned_specialization(), std::nullopt);
  EXPECT_EQ(plan.applied_specialization(), std::nullopt);
  EXPECT_EQ(plan.failure(), std::nullopt);
  EXPECT_EQ(keys(plan.as_dict()), kKeys);
}

TEST(RuntimePlanValue, SaysWhatWasDraftedAndKeepsIt) {
  plan::PlanDraft draft = planned_draft();
  RuntimePlan plan(draft);
  draft.reason = "another";
  EXPECT_EQ(plan.reason(), "why");
  const RuntimePlan taken = std::move(plan);
  EXPECT_EQ(plan, taken);  // NOLINT: that it is still whole is what is tested
  EXPECT_NE(taken, RuntimePlan(draft));
  EXPECT_EQ(taken.backend_id(), "optimized-native");
  EXPECT_TRUE(taken.is_executable());
  EXPECT_EQ(taken.as_dict().find("reason").text(), "why");
  EXPECT_EQ(taken.as_dict().find("specialization_pass_ids").at(1).text(), "weight-pinning");
  EXPECT_EQ(taken.as_dict().find("model_path").kind(), Value::Kind::null);
  EXPECT_FALSE(taken.as_dict().has("resolved_model"));
  EXPECT_EQ(taken.as_dict_json(), taken.as_dict().json());
}

TEST(RuntimePlanValue, HasItsPlannedPassesTyped) {
  const auto planned = RuntimePlan(planned_draft()).planned_specialization();
  ASSERT_TRUE(planned.has_value());
  EXPECT_EQ(planned->provider_id, "llama-native");
  EXPECT_THAT(planned->pass_ids, ElementsAre(Id::mlp_chunking, Id::weight_pinning));
  ASSERT_EQ(planned->passes.size(), 2u);
  EXPECT_EQ(planned->passes[0].summary, plan::find_pass(Id::mlp_chunking).summary);
  EXPECT_EQ(planned->passes[0].as_dict().json(),
            R"({"pass_id":"mlp-chunking","summary":"feed-forward in pieces of rows","traits":)"
            R"({"supports_disk_cache":false,"supports_cpu_offload":false,)"
            R"("supports_gpu_offload":false},"details":{"mlp_chunking_mode":"adaptive-headroom",)"
            R"("mlp_chunking_max_rows":"64"}})");
  EXPECT_TRUE(planned->passes[1].details.empty());
  EXPECT_THAT(keys(planned->as_dict()),
              ElementsAre("provider_id", "pass_ids", "passes", "traits", "details"));
}

TEST(RuntimePlanValue, HasItsAppliedPassesTyped) {
  plan::LoadedArtifacts loaded;
  loaded.provided_pass_ids = {Id::mlp_chunking, Id::weight_pinning};
  const RuntimePlan plan(plan::finalize_applied(planned_draft(), loaded));
  const auto applied = plan.applied_specialization();
  ASSERT_TRUE(applied.has_value());
  EXPECT_EQ(applied->planned_pass_ids, applied->applied_pass_ids);
  EXPECT_EQ(applied->applied_pass_ids, plan.applied_specialization_pass_ids());
  ASSERT_NE(applied->details.find("applied_pass_count"), nullptr);
  EXPECT_EQ(*applied->details.find("applied_pass_count"), "2");
  EXPECT_THAT(keys(applied->as_dict()),
              ElementsAre("provider_id", "planned_pass_ids", "applied_pass_ids", "skipped_pass_ids",
                          "traits", "details"));
  EXPECT_EQ(applied->as_dict().find("skipped_pass_ids").size(), 0u);
}

TEST(RuntimePlanValue, AFailedPassIsFields) {
  plan::LoadedArtifacts loaded;
  loaded.provided_pass_ids = {Id::mlp_chunking};
  const auto broken = plan::broken_contract(planned_draft(), loaded);
  ASSERT_TRUE(broken.has_value());
  EXPECT_EQ(broken->failed_pass_id, Id::weight_pinning);
  EXPECT_THAT(broken->applied_pass_ids, ElementsAre(Id::mlp_chunking));
  EXPECT_EQ(broken->reason, "what was loaded does not provide it");
  const Value dict = broken->as_dict();
  EXPECT_THAT(keys(dict), ElementsAre("error_type", "provider_id", "planned_pass_ids",
                                      "applied_pass_ids", "failed_pass_id", "reason", "error"));
  EXPECT_EQ(dict.find("error_type").text(), "SpecializationApplicationError");
  EXPECT_EQ(dict.find("failed_pass_id").text(), "weight-pinning");
  EXPECT_EQ(dict.find("error").find("kind").text(), "unsupported");
}

TEST(RuntimePlanValue, ALoadThatFailsBeforeAnyPassNamesNone) {
  const auto failure =
      plan::load_failure(planned_draft(), fail(ErrorKind::unsupported, "no such block"));
  EXPECT_EQ(failure.failed_pass_id, std::nullopt);
  EXPECT_THAT(failure.applied_pass_ids, IsEmpty());
  EXPECT_EQ(failure.reason, "no such block");
  EXPECT_EQ(failure.as_dict().find("failed_pass_id").kind(), Value::Kind::null);
  EXPECT_EQ(failure.as_dict().find("error_type").text(), "SpecializationLoadError");
}

TEST(RuntimePlanValue, AFallbackKeepsWhatFailed) {
  const plan::PlanDraft fallback =
      plan::to_fallback(planned_draft(), SpecializationErrorType::load_error, "no such block");
  ASSERT_TRUE(RuntimePlan(fallback).failure().has_value());
  EXPECT_EQ(RuntimePlan(fallback).failure()->reason, "no such block");
  EXPECT_EQ(RuntimePlan(fallback).failure()->provider_id, "llama-native");
  EXPECT_THAT(RuntimePlan(fallback).failure()->planned_pass_ids,
              ElementsAre(Id::mlp_chunking, Id::weight_pinning));
}

TEST(CapabilityProfileValue, HasItsFieldsInOrder) {
  EXPECT_EQ(CapabilityProfile::unsupported("why", true).as_dict().json(),
            R"({"support_level":"unsupported","modalities":["text"],"requires_processor":false,)"
            R"("supports_disk_cache":false,"supports_local_materialization":true,)"
            R"("supports_specialization":false,"details":{"reason":"why"}})");
}

TEST(ResolvedModelValue, BytesThatAreNoUtf8AreReplaced) {
  ResolvedModel model;
  model.reference.raw = "\xFF";
  EXPECT_EQ(model.as_dict().find("model_reference").text(), "\uFFFD");
}

TEST(ExecutionPlanValue, HasItsFieldsInOrder) {
  ExecutionPlan plan;
  plan.memory.ledger.push_back({"kv", "run", 5});
  plan.decisions.push_back({"isa", "avx2", "asked for"});
  EXPECT_THAT(keys(plan.as_dict()),
              ElementsAre("fits", "model", "memory", "weights", "experts", "kv", "compute", "isa",
                          "threads", "prefill_chunk", "feed_forward_rows", "estimate", "lines",
                          "decisions"));
  EXPECT_EQ(plan.as_dict().find("memory").find("ledger").at(0).json(),
            R"({"owner":"kv","phase":"run","bytes":5})");
  EXPECT_EQ(plan.as_dict().find("decisions").at(0).json(),
            R"({"what":"isa","chosen":"avx2","because":"asked for"})");
}

TEST(RuntimePlanDocument, ShowsThePlanAsItIs) {
  std::ifstream in("docs/runtime-plan.md");
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  const std::size_t begin = text.find("```json\n{\n  \"backend_id\"");
  ASSERT_NE(begin, std::string::npos);
  const std::size_t open = text.find('{', begin);
  const auto shown =
      nlohmann::ordered_json::parse(text.substr(open, text.find("```", open) - open));
  std::vector<std::string> found;
  for (const auto& [key, value] : shown.items()) found.push_back(key);
  EXPECT_EQ(found, kKeys);
  for (const Id id : all_values<Id>()) {
    if (!plan::find_pass(id).exists) continue;
    const std::string_view name = id == Id::mlp_chunking ? "mlp_chunking" : to_string(id);
    EXPECT_NE(text.find(name), std::string::npos) << name;
  }
  for (const SpecializationState state : all_values<SpecializationState>()) {
    EXPECT_NE(text.find("`" + std::string(to_string(state)) + "`"), std::string::npos)
        << to_string(state);
  }
}

}  // namespace
}  // namespace ollm
