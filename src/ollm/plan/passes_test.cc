#include "ollm/plan/passes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace ollm::plan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Id = SpecializationPassId;

ResolvedModel llama_model() {
  ResolvedModel model;
  model.native_family = NativeFamily::llama;
  return model;
}

bool applies(Id id, std::string_view provider, const ResolvedModel& model,
             const PassConditions& conditions = {}, bool multimodal = false) {
  return find_pass(id).condition({provider, &model, multimodal}, conditions).has_value();
}

PlanDraft planned(std::vector<Id> ids) {
  PlanDraft plan;
  plan.backend_id = kOptimizedNative;
  plan.generic_model_kind = GenericModelKind::causal_lm;
  plan.specialization_enabled = true;
  plan.specialization_provider_id = "llama-native";
  plan.specialization_state = SpecializationState::planned;
  plan.specialization_pass_ids = std::move(ids);
  plan.details.set("source_kind", "local-path");
  return plan;
}

TEST(Passes, StandInTheOrderOfTheSeedThenOurs) {
  std::vector<std::string_view> ids;
  for (const PassKind& pass : passes()) {
    ids.push_back(to_string(pass.id));
    EXPECT_FALSE(pass.summary.empty());
  }
  EXPECT_THAT(ids,
              ElementsAre("disk-cache", "cpu-offload", "gpu-offload", "mlp-chunking", "moe-routing",
                          "attention-replacement", "multimodal-shell", "gds-export-weights",
                          "weight-streaming", "weight-pinning", "chunked-prefill", "prefix-reuse",
                          "speculative-decoding", "expert-cache"));
}

TEST(Passes, ThatDoNotExistAreNeverPlanned) {
  const ResolvedModel model = llama_model();
  PassConditions everything;
  everything.accelerator = everything.prefix_reuse = true;
  everything.draft_rows = 16;
  everything.expert_cache = everything.weights_streamed = true;
  everything.mlp_chunk_rows = 16;
  everything.prompt_tokens = 100;
  everything.prefill_chunk_tokens = 10;
  for (const PlannedPass& pass : plan_passes({"llama-native", &model, true}, everything)) {
    EXPECT_TRUE(find_pass(pass.id).exists) << to_string(pass.id);
    EXPECT_FALSE(pass.because.empty());
  }
}

TEST(Passes, WeightsArePinnedUnlessAllAreStreamed) {
  const ResolvedModel model = llama_model();
  PassConditions conditions;
  EXPECT_TRUE(applies(Id::weight_pinning, "llama-native", model, conditions));
  EXPECT_FALSE(applies(Id::weight_streaming, "llama-native", model, conditions));
  conditions.weights_streamed = true;
  EXPECT_TRUE(applies(Id::weight_pinning, "llama-native", model, conditions));
  EXPECT_TRUE(applies(Id::weight_streaming, "llama-native", model, conditions));
  conditions.weights_pinned = false;
  EXPECT_FALSE(applies(Id::weight_pinning, "llama-native", model, conditions));
}

TEST(Passes, PromptsThatExceedTheChunkAreChunked) {
  const ResolvedModel model = llama_model();
  PassConditions conditions;
  conditions.prompt_tokens = 256;
  EXPECT_FALSE(applies(Id::chunked_prefill, "llama-native", model, conditions));
  conditions.prefill_chunk_tokens = 256;
  EXPECT_FALSE(applies(Id::chunked_prefill, "llama-native", model, conditions));
  conditions.prompt_tokens = 257;
  EXPECT_TRUE(applies(Id::chunked_prefill, "llama-native", model, conditions));
}

TEST(Passes, KeysAndValuesGoToDiskWhoeverRunsTheModel) {
  const ResolvedModel model = llama_model();
  PassConditions conditions;
  for (const std::string_view who : {"llama-native", "gpt-oss-native", "native-generic"}) {
    EXPECT_TRUE(applies(Id::disk_cache, who, model)) << who;
    EXPECT_TRUE(applies(Id::prefix_reuse, who, model)) << who;
    conditions.prefix_reuse = false;
    EXPECT_TRUE(applies(Id::disk_cache, who, model, conditions)) << who;
    EXPECT_FALSE(applies(Id::prefix_reuse, who, model, conditions)) << who;
    conditions = {.kv_on_disk = false};
    EXPECT_FALSE(applies(Id::disk_cache, who, model, conditions)) << who;
    EXPECT_FALSE(applies(Id::prefix_reuse, who, model, conditions)) << who;
    conditions = {};
  }
}

TEST(Passes, SettingsSayWhatIsKeptOfKeysAndValues) {
  settings::RuntimeConfig config;
  EXPECT_TRUE(with_settings({}, config).kv_on_disk);
  EXPECT_TRUE(with_settings({}, config).prefix_reuse);
  config.use_cache = false;
  EXPECT_TRUE(with_settings({}, config).kv_on_disk);  // what memory cannot hold
  EXPECT_FALSE(with_settings({}, config).prefix_reuse);
  config.kv_cache_strategy = "resident";
  EXPECT_FALSE(with_settings({}, config).kv_on_disk);
}

TEST(Passes, OfTheSeedAreThoseOfTheirProviders) {
  const ResolvedModel model = llama_model();
  PassConditions conditions;
  EXPECT_FALSE(applies(Id::cpu_offload, "llama-native", model));
  EXPECT_FALSE(applies(Id::mlp_chunking, "llama-native", model));
  conditions.accelerator = true;
  conditions.mlp_chunk_rows = 64;
  EXPECT_TRUE(applies(Id::cpu_offload, "llama-native", model, conditions));
  EXPECT_FALSE(applies(Id::gpu_offload, "llama-native", model, conditions));
  EXPECT_TRUE(applies(Id::gpu_offload, "qwen3-next-native", model, conditions));
  EXPECT_TRUE(applies(Id::mlp_chunking, "voxtral-native", model, conditions));
  EXPECT_FALSE(applies(Id::mlp_chunking, "gpt-oss-native", model, conditions));
  EXPECT_TRUE(applies(Id::moe_routing, "gpt-oss-native", model));
  EXPECT_TRUE(applies(Id::moe_routing, "qwen3-next-native", model));
  EXPECT_FALSE(applies(Id::moe_routing, "gemma3-native", model));
  conditions.mixture = true;
  EXPECT_TRUE(applies(Id::moe_routing, "native-generic", model, conditions));
  EXPECT_TRUE(applies(Id::attention_replacement, "gpt-oss-native", model));
  EXPECT_FALSE(applies(Id::gds_export_weights, "gpt-oss-native", model));
}

TEST(Passes, AShellForImagesAndAudioIsForThoseWhoAskAndTakeThem) {
  ResolvedModel model;
  model.capabilities.modalities = {ModelModality::text, ModelModality::image};
  EXPECT_TRUE(applies(Id::multimodal_shell, "gemma3-native", model, {}, true));
  EXPECT_FALSE(applies(Id::multimodal_shell, "gemma3-native", model, {}, false));
  EXPECT_FALSE(applies(Id::multimodal_shell, "voxtral-native", model, {}, true));
  model.capabilities.modalities = {ModelModality::text, ModelModality::audio};
  EXPECT_TRUE(applies(Id::multimodal_shell, "voxtral-native", model, {}, true));
}

TEST(Passes, TraitsAreTheOrOfThoseOfThePasses) {
  EXPECT_EQ(traits_of(std::vector<Id>{}), PassTraits{});
  const std::vector<Id> both = {Id::disk_cache, Id::gpu_offload};
  EXPECT_EQ(traits_of(both), (PassTraits{true, false, true}));
}

TEST(Passes, PiecesOfAFeedForwardTellTheirRows) {
  const std::vector<PlannedPass> chunked = {{Id::mlp_chunking, "x"}};
  PassConditions conditions;
  conditions.mlp_chunk_rows = 128;
  Details adaptive = pipeline_details("llama-native", chunked, conditions);
  EXPECT_EQ(*adaptive.find("mlp_chunking_mode"), "adaptive-headroom");
  EXPECT_EQ(*adaptive.find("mlp_chunking_max_rows"), "128");
  conditions.mlp_rows_explicit = true;
  EXPECT_EQ(*pipeline_details("llama-native", chunked, conditions).find("mlp_chunking_mode"),
            "explicit-rows");
  EXPECT_EQ(pipeline_details("llama-native", {}, conditions).find("mlp_chunking_mode"), nullptr);
}

TEST(Passes, ARefinedPlanIsThatOfAFirstPlan) {
  PlanDraft plan = planned({Id::weight_pinning});
  plan.details.set("specialization_pass_ids", "weight-pinning");
  plan.details.set("provider_id", "llama-native");
  plan.details.set("pass_count", "1");
  plan.details.set("architecture", "LlamaForCausalLM");
  PassConditions conditions;
  conditions.prompt_tokens = 100;
  conditions.prefill_chunk_tokens = 10;
  conditions.kv_on_disk = false;
  const PlanDraft refined = refine_passes(plan, false, conditions);
  EXPECT_THAT(refined.specialization_pass_ids,
              ElementsAre(Id::weight_pinning, Id::chunked_prefill));
  EXPECT_EQ(*refined.details.find("specialization_pass_ids"), "weight-pinning,chunked-prefill");
  EXPECT_EQ(*refined.details.find("pass_count"), "2");
  std::vector<std::string> keys;
  for (const auto& [key, value] : refined.details) keys.push_back(key);
  EXPECT_THAT(keys, ElementsAre("source_kind", "specialization_pass_ids", "provider_id",
                                "pass_count", "architecture"));
  EXPECT_EQ(refine_passes(refined, false, conditions), refined);
}

TEST(Passes, OnlyAPlannedPlanIsRefined) {
  PlanDraft plan = planned({Id::weight_pinning});
  plan.specialization_state = SpecializationState::fallback;
  EXPECT_EQ(refine_passes(plan, false, {}), plan);
}

TEST(Passes, EveryContractIsHeld) {
  for (const PassKind& pass : passes()) {
    const PlanDraft plan = planned({pass.id});
    const auto broken = broken_contract(plan, LoadedArtifacts{});
    ASSERT_TRUE(broken.has_value()) << to_string(pass.id);
    EXPECT_EQ(broken->failed_pass_id, pass.id);
    EXPECT_EQ(broken->provider_id, "llama-native");
    EXPECT_EQ(broken->error.kind, ErrorKind::unsupported);
    EXPECT_THAT(broken->error.message, HasSubstr("llama-native"));
    EXPECT_THAT(broken->error.message, HasSubstr(to_string(pass.id)));
    EXPECT_THAT(broken->error.message, HasSubstr(broken->reason));
    LoadedArtifacts artifacts;
    artifacts.supports_disk_cache = artifacts.supports_cpu_offload = true;
    artifacts.supports_gpu_offload = artifacts.multimodal = artifacts.has_processor = true;
    artifacts.provided_pass_ids = {pass.id};
    EXPECT_EQ(broken_contract(plan, artifacts), std::nullopt) << to_string(pass.id);
  }
}

TEST(Passes, TheFirstBrokenContractTellsWhatWasAppliedBefore) {
  LoadedArtifacts artifacts;
  artifacts.provided_pass_ids = {Id::weight_pinning};
  const auto broken =
      broken_contract(planned({Id::weight_pinning, Id::chunked_prefill}), artifacts);
  ASSERT_TRUE(broken.has_value());
  EXPECT_EQ(broken->type, SpecializationErrorType::application_error);
  EXPECT_EQ(broken->failed_pass_id, Id::chunked_prefill);
  EXPECT_THAT(broken->planned_pass_ids, ElementsAre(Id::weight_pinning, Id::chunked_prefill));
  EXPECT_THAT(broken->applied_pass_ids, ElementsAre(Id::weight_pinning));
  EXPECT_THAT(broken->error.message,
              HasSubstr("pass chunked-prefill of weight-pinning,chunked-prefill"));
  EXPECT_THAT(broken->error.message, HasSubstr("applied before it: weight-pinning"));
}

PlanDraft generic_plan(const PassConditions& conditions = {}) {
  PlanDraft plan;
  plan.backend_id = kNativeGeneric;
  return with_generic_passes(plan, conditions);
}

TEST(Passes, OfTheGenericBackendStandInItsDetails) {
  const PlanDraft plan = generic_plan();
  EXPECT_TRUE(plan.supports_disk_cache);
  EXPECT_TRUE(plan.specialization_pass_ids.empty());
  EXPECT_EQ(*plan.details.find("generic_pass_ids"), "disk-cache,weight-pinning,prefix-reuse");
  PassConditions in_memory;
  in_memory.kv_on_disk = false;
  std::vector<Decision> decisions = {{"backend", "native-generic", "x"}, {"kv.strategy", "y", "z"}};
  const PlanDraft refined = refine_passes(plan, false, in_memory, &decisions);
  EXPECT_FALSE(refined.supports_disk_cache);
  EXPECT_EQ(*refined.details.find("generic_pass_ids"), "weight-pinning");
  ASSERT_EQ(decisions.size(), 3u);
  EXPECT_EQ(decisions.back().what, "pass.weight-pinning");
}

TEST(Passes, OfTheGenericBackendKeepContractsToo) {
  const PlanDraft plan = generic_plan();
  LoadedArtifacts artifacts;
  artifacts.provided_pass_ids = {Id::weight_pinning, Id::prefix_reuse};
  const auto broken = broken_contract(plan, artifacts);
  ASSERT_TRUE(broken.has_value());
  EXPECT_EQ(broken->provider_id, "native-generic");
  EXPECT_EQ(broken->failed_pass_id, Id::disk_cache);
  artifacts.supports_disk_cache = true;
  EXPECT_EQ(broken_contract(plan, artifacts), std::nullopt);
}

TEST(Passes, AGenericPlanTakesTheDetailsAndPassesOfItsLoadAlone) {
  LoadedArtifacts artifacts;
  artifacts.supports_disk_cache = true;
  artifacts.provided_pass_ids = {Id::weight_pinning, Id::prefix_reuse};
  artifacts.details.set("key", "value");
  const auto finalized = finalize_applied(generic_plan(), artifacts);
  EXPECT_EQ(finalized.specialization_state, SpecializationState::not_planned);
  EXPECT_FALSE(finalized.specialization_applied);
  EXPECT_TRUE(finalized.applied_specialization_pass_ids.empty());
  EXPECT_EQ(*finalized.details.find("key"), "value");
  EXPECT_EQ(*finalized.details.find("applied_generic_pass_ids"),
            "disk-cache,weight-pinning,prefix-reuse");
}

TEST(Passes, AFallbackHasItsConditions) {
  const PlanDraft plan = planned({});
  EXPECT_EQ(why_no_fallback(plan, false, 0, 0), std::nullopt);
  EXPECT_NE(why_no_fallback(plan, true, 0, 0), std::nullopt);
  EXPECT_NE(why_no_fallback(plan, false, 1, 0), std::nullopt);
  EXPECT_NE(why_no_fallback(plan, false, 0, 1), std::nullopt);
  PlanDraft unknown_kind = plan;
  unknown_kind.generic_model_kind.reset();
  EXPECT_NE(why_no_fallback(unknown_kind, false, 0, 0), std::nullopt);
  PlanDraft generic = plan;
  generic.backend_id = kNativeGeneric;
  EXPECT_NE(why_no_fallback(generic, false, 0, 0), std::nullopt);
}

template <typename Enum>
void expect_round_trip() {
  std::set<std::string_view> texts;
  for (const Enum value : all_values<Enum>()) {
    EXPECT_EQ(from_wire<Enum>(to_string(value)), value);
    EXPECT_TRUE(texts.insert(to_string(value)).second);
  }
  EXPECT_EQ(from_wire<Enum>("nothing of the kind"), std::nullopt);
}

TEST(WireValues, OfANumberOutsideIsUnknown) {
  EXPECT_EQ(to_string(static_cast<SupportLevel>(99)), "unknown");
  EXPECT_EQ(to_string(static_cast<SpecializationPassId>(-1)), "unknown");
}

TEST(WireValues, GoBothWays) {
  expect_round_trip<SupportLevel>();
  expect_round_trip<SpecializationState>();
  expect_round_trip<GenericModelKind>();
  expect_round_trip<ModelSourceKind>();
  expect_round_trip<NativeFamily>();
  expect_round_trip<ModelModality>();
  expect_round_trip<SpecializationPassId>();
}

TEST(Details, KeepTheirOrder) {
  Details details;
  details.set("b", "1");
  details.set("a", "2");
  details.set("b", "3");
  std::vector<Details::Entry> entries(details.begin(), details.end());
  EXPECT_THAT(entries, ElementsAre(Details::Entry("b", "3"), Details::Entry("a", "2")));
  EXPECT_EQ(details.find("c"), nullptr);
}

}  // namespace
}  // namespace ollm::plan
