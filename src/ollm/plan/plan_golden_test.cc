// Every rule of resolution, every branch of the selector, every provider and outcome of inspection
// against goldens that were spelt out from docs/resolving.md (tests/fixtures/plans/make.py).
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "ollm/plan/payloads.h"
#include "ollm/plan/plan_world.h"

namespace ollm::plan {
namespace {

constexpr std::string_view kCommit = "0123456789abcdef0123456789abcdef01234567";

struct Scenario {
  std::string golden;
  std::string reference;
  void (*prepare)(World&);
};

void nothing(World&) {}
void tiny_llama(World& world) { world.llama("work/tiny"); }

// config.json of a folder that is not executable, with what makes it so.
void tiny_bare(World& world, std::string_view model_type, const char* architecture,
               const Json& more = Json::object()) {
  Json config = {{"model_type", model_type}};
  if (architecture != nullptr) config["architectures"] = {architecture};
  config.update(more);
  world.bare("work/tiny", config);
}

void voxtral(World& world) {
  tiny_bare(world, "voxtral", "VoxtralForConditionalGeneration",
            {{"audio_config", Json::object()}});
  world.write("work/tiny/preprocessor_config.json", "{}");
}

const Scenario kScenarios[] = {
    {"rule_1_path", "./tiny", tiny_llama},
    {"rule_1_path_is_missing", "./tiny", nothing},
    {"rule_1_path_named_as_alias", "./llama3-8B-chat",
     [](World& world) { world.llama("work/llama3-8B-chat"); }},
    {"rule_1_alias_names_another_family", "./gemma3-12B",
     [](World& world) { world.llama("work/gemma3-12B"); }},
    {"rule_2_alias", "llama3-1B-chat",
     [](World& world) {
       world.llama("models/llama3-1B-chat");
       // The models folder comes first.
       world.snapshot("models--unsloth--Llama-3.2-1B-Instruct", "main", kCommit,
                      [&](const auto& dir) { world.qwen2(dir); });
     }},
    {"rule_2_alias_is_not_on_disk", "llama3-1B-chat", nothing},
    {"rule_2_alias_with_native_backend_is_not_on_disk", "llama3-1B-chat",
     [](World& world) { world.config().backend = "optimized-native"; }},
    {"rule_2_alias_with_generic_backend_is_not_on_disk", "llama3-1B-chat",
     [](World& world) { world.config().backend = "native-generic"; }},
    {"rule_2_alias_revision", "llama3-1B-chat@v2",
     [](World& world) { world.llama("models/llama3-1B-chat"); }},
    {"rule_2_alias_of_gemma3_is_not_on_disk", "gemma3-12B", nothing},
    {"rule_2_alias_of_gpt-oss_is_not_on_disk", "gpt-oss-20B", nothing},
    {"rule_2_alias_of_qwen3-next_is_not_on_disk", "qwen3-next-80B", nothing},
    {"rule_2_alias_of_voxtral_is_not_on_disk", "voxtral-small-24B", nothing},
    {"rule_2_alias_in_hub_cache", "llama3-1B-chat",
     [](World& world) {
       world.snapshot("models--unsloth--Llama-3.2-1B-Instruct", "main", kCommit,
                      [&](const auto& dir) { world.llama(dir); });
     }},
    {"rule_3a_repository_of_an_alias", "unsloth/Llama-3.2-1B-Instruct",
     [](World& world) { world.llama("models/llama3-1B-chat"); }},
    {"rule_3a_repository_of_an_alias_is_not_on_disk", "unsloth/Llama-3.2-1B-Instruct", nothing},
    {"rule_3a_repository_of_an_alias_with_revision", "hf://unsloth/Llama-3.2-1B-Instruct@v2",
     [](World& world) { world.llama("models/llama3-1B-chat"); }},
    {"rule_3b_repository", "org/name-0.5B",
     [](World& world) { world.qwen2("models/org--name-0.5B"); }},
    {"rule_3b_repository_in_hub_cache", "hf://org/name",
     [](World& world) {
       world.snapshot("models--org--name", "main", kCommit,
                      [&](const auto& dir) { world.llama(dir); });
     }},
    {"rule_3c_repository_is_not_on_disk", "org/name@v1",
     [](World& world) { world.llama("models/org--name"); }},
    {"rule_3c_alias_with_scheme", "hf://llama3-1B-chat@v1",
     [](World& world) { world.llama("models/llama3-1B-chat"); }},
    {"rule_4_name_in_models_folder", "mine", [](World& world) { world.llama("models/mine"); }},
    {"rule_5_opaque", "nothing@v1", [](World& world) { world.llama("models/nothing"); }},

    {"select_generic", "./tiny", [](World& world) { world.qwen2("work/tiny"); }},
    {"select_explicit_native", "./tiny",
     [](World& world) {
       tiny_llama(world);
       world.config().backend = "optimized-native";
     }},
    {"select_override_failure", "./tiny",
     [](World& world) {
       world.qwen2("work/tiny");
       world.config().backend = "optimized-native";
     }},
    {"select_override_failure_with_adapter", "./tiny",
     [](World& world) {
       tiny_llama(world);
       world.config().backend = "optimized-native";
       world.config().adapter_dir = "adapter";
     }},
    {"select_explicit_generic", "./tiny",
     [](World& world) {
       tiny_llama(world);
       world.config().backend = "native-generic";
     }},
    {"select_specialization_disabled", "./tiny",
     [](World& world) {
       tiny_llama(world);
       world.config().use_specialization = false;
     }},
    {"select_adapter", "./tiny",
     [](World& world) {
       tiny_llama(world);
       world.config().adapter_dir = "adapter";
     }},
    {"select_device", "./tiny",
     [](World& world) {
       tiny_llama(world);
       world.config().device = "cuda:0";
     }},
    {"select_chunked_prefill", "./tiny",
     [](World& world) {
       tiny_llama(world);
       world.options().passes.prompt_tokens = 1000;
       world.options().passes.prefill_chunk_tokens = 256;
     }},
    {"fallback_planned", "./tiny",
     [](World& world) {
       world.model("work/tiny", tiny_config("llama", "LlamaForCausalLM"),
                   with_qk_norm(tiny_tensors()));
     }},
    {"fallback_is_not_for_explicit_backends", "./tiny",
     [](World& world) {
       world.model("work/tiny", tiny_config("llama", "LlamaForCausalLM"),
                   with_qk_norm(tiny_tensors()));
       world.config().backend = "optimized-native";
     }},

    {"provider_gemma3", "./tiny",
     [](World& world) { tiny_bare(world, "gemma3_text", "Gemma3ForCausalLM"); }},
    {"provider_qwen3-next", "./tiny",
     [](World& world) { tiny_bare(world, "qwen3_next", "Qwen3NextForCausalLM"); }},
    {"provider_gpt-oss", "./tiny",
     [](World& world) { tiny_bare(world, "gpt_oss", "GptOssForCausalLM"); }},
    {"provider_voxtral", "./tiny", voxtral},

    {"inspect_audio_without_specialization", "./tiny",
     [](World& world) {
       voxtral(world);
       world.config().use_specialization = false;
     }},
    {"inspect_image_text_to_text", "./tiny",
     [](World& world) {
       tiny_bare(world, "llava", "LlavaForConditionalGeneration",
                 {{"vision_config", Json::object()}});
     }},
    {"inspect_seq2seq", "./tiny",
     [](World& world) {
       tiny_bare(world, "t5", "T5ForConditionalGeneration", {{"is_encoder_decoder", true}});
     }},
    {"inspect_unknown_architecture", "./tiny",
     [](World& world) { tiny_bare(world, "gpt2", "GPT2LMHeadModel"); }},
    {"inspect_no_architecture", "./tiny",
     [](World& world) { tiny_bare(world, "mystery", nullptr); }},
    {"inspect_remote_code", "./tiny",
     [](World& world) {
       tiny_bare(world, "mystery", "MysteryForCausalLM",
                 {{"auto_map", {{"AutoModel", "modeling_mystery.Mystery"}}}});
     }},
    {"inspect_mixture_of_no_family", "./tiny",
     [](World& world) {
       Json config = tiny_config("olmoe", "OlmoeForCausalLM");
       config["num_experts"] = 4;
       world.model("work/tiny", config, tiny_tensors());
     }},
    {"inspect_causal_lm_with_vision_config", "./tiny",
     [](World& world) {
       Json config = tiny_config("some", "SomeForCausalLM");
       config["vision_config"] = Json::object();
       world.model("work/tiny", config, tiny_tensors());
     }},
    {"inspect_image_text_to_text_by_processor", "./tiny",
     [](World& world) {
       tiny_bare(world, "some", "SomeForConditionalGeneration");
       world.write("work/tiny/processor_config.json", "{}");
     }},
    {"inspect_image_text_to_text_by_image_and_audio", "./tiny",
     [](World& world) {
       tiny_bare(world, "some", "SomeForConditionalGeneration",
                 {{"vision_config", Json::object()}, {"audio_config", Json::object()}});
     }},
    {"inspect_encoder_decoder", "./tiny",
     [](World& world) {
       tiny_bare(world, "marian", "MarianMTModel", {{"is_encoder_decoder", true}});
     }},
    {"inspect_no_config", "./tiny",
     [](World& world) { world.write("work/tiny/model.safetensors", ""); }},
    {"select_explicit_generic_cannot", "./tiny",
     [](World& world) {
       tiny_bare(world, "gpt2", "GPT2LMHeadModel");
       world.config().backend = "native-generic";
     }},
    {"select_generic_of_unknown_type", "./tiny",
     [](World& world) {
       world.model("work/tiny", tiny_config("mystery", "MysteryForCausalLM"), tiny_tensors());
     }},
    {"inspect_known_to_differ", "./tiny",
     [](World& world) {
       world.model("work/tiny", tiny_config("nemotron", "NemotronForCausalLM"), tiny_tensors());
     }},
};

Json printed(const World& world, const PlanDraft& plan) {
  Json out = Json::object();
  out["resolved_model"] = resolved_model_payload(plan.resolved_model);
  out["runtime_plan"] = as_dict(plan);
  return Json::parse(world.without_root(out.dump()));
}

class PlanGolden : public ::testing::TestWithParam<Scenario> {};

TEST_P(PlanGolden, IsWhatTheRulesSay) {
  World world;
  GetParam().prepare(world);
  const auto planned = world.plan(GetParam().reference);
  ASSERT_TRUE(planned.ok()) << planned.error().message;
  const PlanDraft& plan = planned->selection.plan;
  EXPECT_EQ(printed(world, plan).dump(2), plan_golden(GetParam().golden).dump(2));
}

TEST_P(PlanGolden, ExecutesOrSaysWhyNot) {
  World world;
  GetParam().prepare(world);
  const auto planned = world.plan(GetParam().reference);
  ASSERT_TRUE(planned.ok()) << planned.error().message;
  const Selection& selection = planned->selection;
  EXPECT_EQ(selection.plan.is_executable(), !selection.refusal.has_value());
  EXPECT_EQ(selection.plan.is_executable(), selection.composition.has_value());
  EXPECT_EQ(selection.plan.is_executable(), selection.config.has_value());
}

TEST_P(PlanGolden, IsTheSameTwice) {
  World world;
  GetParam().prepare(world);
  const auto once = world.plan(GetParam().reference);
  const auto twice = world.plan(GetParam().reference);
  ASSERT_TRUE(once.ok() && twice.ok());
  EXPECT_EQ(once->selection.plan, twice->selection.plan);
  EXPECT_EQ(as_dict(once->selection.plan).dump(), as_dict(twice->selection.plan).dump());
}

std::string test_name(const ::testing::TestParamInfo<Scenario>& scenario) {
  std::string name = scenario.param.golden;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Rules, PlanGolden, ::testing::ValuesIn(kScenarios), test_name);

TEST(PlanGoldens, AppliedIsWhatTheRulesSay) {
  World world;
  tiny_llama(world);
  const auto planned = world.plan("./tiny");
  ASSERT_TRUE(planned.ok());
  LoadedArtifacts artifacts;
  artifacts.supports_disk_cache = true;
  artifacts.provided_pass_ids = {SpecializationPassId::weight_pinning,
                                 SpecializationPassId::prefix_reuse};
  const auto applied = finalize_applied(planned->selection.plan, artifacts);
  EXPECT_EQ(printed(world, applied).dump(2), plan_golden("applied").dump(2));
}

TEST(PlanGoldens, FallbackAtLoadIsWhatTheRulesSay) {
  World world;
  tiny_llama(world);
  const auto planned = world.plan("./tiny");
  ASSERT_TRUE(planned.ok());
  const auto broken = broken_contract(planned->selection.plan, LoadedArtifacts{});
  ASSERT_TRUE(broken.has_value());
  auto taken = fall_back(planned->selection.plan, planned->resolution, world.config(),
                         world.options(), broken->type, broken->error);
  ASSERT_TRUE(taken.ok()) << taken.error().message;
  EXPECT_TRUE(taken->composition.has_value());
  const auto kv = select_kv(taken->plan, world.config(), world.machine());
  ASSERT_TRUE(kv.ok());
  EXPECT_EQ(printed(world, with_selection(taken->plan, *kv)).dump(2),
            plan_golden("fallback_at_load").dump(2));
}

TEST(PlanGoldens, EveryGoldenIsHeld) {
  std::set<std::string> held = {"applied", "fallback_at_load"};
  for (const Scenario& scenario : kScenarios) held.insert(scenario.golden);
  for (const auto& entry : std::filesystem::directory_iterator("tests/fixtures/plans")) {
    if (entry.path().extension() != ".json") continue;
    EXPECT_TRUE(held.contains(entry.path().stem().string())) << entry.path();
  }
}

}  // namespace
}  // namespace ollm::plan
