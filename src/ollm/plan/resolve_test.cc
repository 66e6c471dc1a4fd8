// What goldens do not hold: errors, where was looked, discovery, and how little is read.
#include "ollm/plan/resolve.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "ollm/plan/payloads.h"
#include "ollm/plan/plan_world.h"
#include "ollm/plan/select.h"

namespace ollm::plan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::string_view kCommit = "0123456789abcdef0123456789abcdef01234567";

// The refusal of a plan that has to be one.
Error refusal(World& world, std::string_view reference) {
  const auto planned = world.plan(reference);
  if (!planned.ok()) return planned.error();
  EXPECT_FALSE(planned->selection.plan.is_executable());
  if (!planned->selection.refusal) return fail(ErrorKind::internal, "no refusal");
  EXPECT_EQ(planned->selection.plan.support_level != SupportLevel::optimized ||
                planned->resolution.model.catalog_entry != nullptr,
            true);
  return *planned->selection.refusal;
}

TEST(Resolve, WhatIsNowhereTellsWhereWasLookedAndTheNearestAlias) {
  World world;
  const Error error = refusal(world, "lama3-1B-chat");
  EXPECT_EQ(error.kind, ErrorKind::not_found);
  EXPECT_THAT(error.message, HasSubstr("did you mean llama3-1B-chat?"));
  EXPECT_THAT(error.message, HasSubstr((world.root() / "models/lama3-1B-chat").string()));
}

TEST(Resolve, AnAliasIsLookedForInBothPlaces) {
  World world;
  const auto planned = world.plan("llama3-1B-chat");
  ASSERT_TRUE(planned.ok());
  EXPECT_THAT(planned->resolution.looked_in,
              ElementsAre(world.root() / "models/llama3-1B-chat", world.root() / "hub"));
  EXPECT_EQ(refusal(world, "llama3-1B-chat").kind, ErrorKind::not_found);
}

TEST(Resolve, ABrokenCacheIsToldAndNotFollowed) {
  World world;
  world.write("hub/models--org--name/refs/main", "../../../etc");
  const Error error = refusal(world, "org/name");
  EXPECT_EQ(error.kind, ErrorKind::corrupt);
  EXPECT_THAT(error.message, HasSubstr("expected a commit"));
}

TEST(Resolve, NoNameLeadsOutOfTheModelsFolder) {
  World world;
  world.llama("outside");
  for (const char* reference : {"s3://../outside", "x/../../outside y", "hf://.."}) {
    const auto planned = world.plan(reference);
    ASSERT_TRUE(planned.ok()) << reference;
    EXPECT_FALSE(planned->resolution.materialized) << reference;
  }
}

TEST(Resolve, ARevisionOfAModelIsNotItsMain) {
  World world;
  world.snapshot("models--org--name", "main", kCommit, [&](const auto& dir) { world.llama(dir); });
  EXPECT_TRUE(world.plan("org/name")->resolution.materialized);
  EXPECT_TRUE(world.plan("org/name@" + std::string(kCommit))->resolution.materialized);
  EXPECT_FALSE(world.plan("org/name@v2")->resolution.materialized);
}

TEST(Resolve, FoldersAreDiscoveredByNameWithoutHiddenOnes) {
  World world;
  world.llama("models/b");
  world.llama("models/a");
  world.llama("models/.hidden");
  world.write("models/file", "x");
  const auto found = discover_local(world.root() / "models");
  ASSERT_TRUE(found.ok());
  ASSERT_EQ(found->size(), 2u);
  EXPECT_EQ(found->at(0).local_path, world.root() / "models/a");
  EXPECT_EQ(found->at(1).local_path, world.root() / "models/b");
  EXPECT_TRUE(discover_local(world.root() / "none")->empty());
}

TEST(Inspect, AFolderThatIsIncompleteTellsWhatItIsAndWhatIsMissing) {
  World world;
  world.write("work/tiny/config.json", tiny_config("llama", "LlamaForCausalLM").dump());
  const auto planned = world.plan("./tiny");
  ASSERT_TRUE(planned.ok());
  EXPECT_EQ(planned->resolution.model.architecture, "LlamaForCausalLM");
  EXPECT_EQ(planned->selection.plan.support_level, SupportLevel::unsupported);
  EXPECT_EQ(refusal(world, "./tiny").kind, ErrorKind::not_found);
}

TEST(Inspect, AFolderWithoutConfigIsNotFound) {
  World world;
  world.write("work/tiny/model.safetensors", safetensors_bytes(tiny_tensors()));
  const Error error = refusal(world, "./tiny");
  EXPECT_EQ(error.kind, ErrorKind::not_found);
  EXPECT_THAT(error.message, HasSubstr("config.json"));
}

TEST(Inspect, AConfigThatIsBrokenIsCorrupt) {
  World world;
  world.write("work/tiny/config.json", "{");
  EXPECT_EQ(refusal(world, "./tiny").kind, ErrorKind::corrupt);
  world.write("work/tiny/config.json", "[]");
  EXPECT_EQ(refusal(world, "./tiny").kind, ErrorKind::corrupt);
}

TEST(Inspect, WeightsThatAreBrokenAreCorrupt) {
  World world;
  world.write("work/tiny/config.json", tiny_config("llama", "LlamaForCausalLM").dump());
  world.write("work/tiny/model.safetensors", std::string("\x10\0\0\0\0\0\0\0{}", 10));
  EXPECT_EQ(refusal(world, "./tiny").kind, ErrorKind::corrupt);
}

TEST(Inspect, RemoteCodeIsRefusedByName) {
  World world;
  Json config = tiny_config("llama", "LlamaForCausalLM");
  config["auto_map"] = {{"AutoModel", "modeling.Model"}};
  world.model("work/tiny", config, tiny_tensors());
  const auto planned = world.plan("./tiny");
  EXPECT_TRUE(planned->resolution.inspection->requires_trust_remote_code);
  EXPECT_EQ(refusal(world, "./tiny").kind, ErrorKind::unsupported);
  EXPECT_THAT(refusal(world, "./tiny").message, HasSubstr("auto_map"));
}

TEST(Select, SeveralProvidersForOneModelAreAmbiguous) {
  World world;
  world.llama("work/tiny");
  constexpr std::string_view kArchitectures[] = {"LlamaForCausalLM"};
  const Provider both[] = {{"llama-native", NativeFamily::llama, kArchitectures},
                           {"other-native", NativeFamily::llama, kArchitectures}};
  world.options().providers = both;
  const auto planned = world.plan("./tiny");
  ASSERT_FALSE(planned.ok());
  EXPECT_EQ(planned.error().kind, ErrorKind::invalid_argument);
  EXPECT_THAT(planned.error().message, HasSubstr("ambiguous: llama-native, other-native take it"));
}

TEST(Select, UnknownKeysAreRefusedByNameUnlessAllowed) {
  World world;
  Json config = tiny_config("llama", "LlamaForCausalLM");
  config["new_feature"] = 1;
  world.model("work/tiny", config, tiny_tensors());
  EXPECT_THAT(refusal(world, "./tiny").message, HasSubstr("new_feature"));
  world.options().allow_config_keys = {"new_feature"};
  const auto planned = world.plan("./tiny");
  ASSERT_TRUE(planned.ok());
  EXPECT_TRUE(planned->selection.plan.is_executable());
  const auto& decisions = planned->selection.decisions;
  EXPECT_TRUE(std::any_of(decisions.begin(), decisions.end(), [](const Decision& decision) {
    return decision.what == "config.allow_key" && decision.chosen == "new_feature";
  }));
}

TEST(Select, AnUnknownModelTypeRunsWithItsSemanticsAssumed) {
  World world;
  world.model("work/tiny", tiny_config("llama_like", "LlamaLikeForCausalLM"), tiny_tensors());
  const auto planned = world.plan("./tiny");
  ASSERT_TRUE(planned.ok());
  EXPECT_EQ(planned->selection.plan.backend_id, kNativeGeneric);
  const auto& decisions = planned->selection.decisions;
  EXPECT_TRUE(std::any_of(decisions.begin(), decisions.end(), [](const Decision& decision) {
    return decision.what == "semantics" && decision.chosen == "assumed";
  }));
}

TEST(Select, WhatNeitherBackendComposesSaysWhyOfBoth) {
  World world;
  auto tensors = tiny_tensors();
  tensors.push_back({"model.layers.0.mystery.weight", {8}});
  world.model("work/tiny", tiny_config("llama", "LlamaForCausalLM"), tensors);
  const auto planned = world.plan("./tiny");
  ASSERT_TRUE(planned.ok());
  const RuntimePlan& plan = planned->selection.plan;
  EXPECT_EQ(plan.specialization_provider_id, "llama-native");
  EXPECT_EQ(plan.specialization_state, SpecializationState::not_planned);
  EXPECT_FALSE(plan.specialization_enabled);
  EXPECT_TRUE(plan.specialization_pass_ids.empty());
  EXPECT_EQ(refusal(world, "./tiny").kind, ErrorKind::unsupported);
  EXPECT_THAT(plan.reason, HasSubstr("mystery"));
  EXPECT_THAT(plan.reason, HasSubstr("no fallback: native-generic: "));
}

TEST(Select, AMissingTensorIsNoMissingFile) {
  World world;
  auto tensors = tiny_tensors();
  tensors.erase(tensors.begin() + 2);
  world.model("work/tiny", tiny_config("llama", "LlamaForCausalLM"), tensors);
  EXPECT_EQ(refusal(world, "./tiny").kind, ErrorKind::unsupported);
}

TEST(Payloads, TextThatIsNotUtf8IsReplaced) {
  RuntimePlan plan;
  plan.reason = "a\xFF\xC3\x28\xED\xA0\x80\xE2\x82\xAC";
  EXPECT_EQ(as_dict(plan)["reason"].get<std::string>(), "a\uFFFD\uFFFD(\uFFFD\uFFFD\uFFFD\u20AC");
}

TEST(Payloads, OfAModelKeepWhatWasResolvedBesideThePlansWord) {
  World world;
  const auto planned = world.plan("llama3-1B-chat");
  ASSERT_TRUE(planned.ok());
  const Json payload = merged_payload(planned->selection.plan, planned->resolution.materialized);
  std::vector<std::string> keys;
  for (const auto& [key, value] : payload.items()) keys.push_back(key);
  EXPECT_THAT(keys,
              ElementsAre("model_reference", "normalized_name", "source_kind", "support_level",
                          "modalities", "requires_processor", "supports_disk_cache",
                          "supports_specialization", "repo_id", "revision", "path", "native_family",
                          "architecture", "model_type", "generic_model_kind", "resolution_message",
                          "materialized", "resolved_support_level", "resolved_modalities",
                          "resolved_requires_processor", "resolved_supports_disk_cache",
                          "resolved_resolution_message", "runtime_plan"));
  EXPECT_EQ(payload["materialized"], false);
  EXPECT_EQ(payload["supports_disk_cache"], false);
  EXPECT_EQ(payload["resolved_supports_disk_cache"], true);
  EXPECT_EQ(payload["resolution_message"], payload["runtime_plan"]["reason"]);
  EXPECT_EQ(payload["runtime_plan"].size(), 16u);
}

TEST(Catalog, IsSortedAndStrict) {
  const auto entries = catalog();
  ASSERT_EQ(entries.size(), 7u);
  EXPECT_TRUE(std::is_sorted(
      entries.begin(), entries.end(),
      [](const CatalogEntry& a, const CatalogEntry& b) { return a.model_id < b.model_id; }));
  EXPECT_EQ(find_alias("Llama3-1B-chat"), nullptr);
  const auto none = require_alias("x");
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().kind, ErrorKind::not_found);
  EXPECT_THAT(none.error().message, HasSubstr("gemma3-12B, gpt-oss-20B, llama3-1B-chat"));
}

}  // namespace
}  // namespace ollm::plan
