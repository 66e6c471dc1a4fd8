// What goldens do not hold: errors, where was looked, discovery, and how little is read.
#include "ollm/plan/resolve.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <tuple>

#include "ollm/base/json_cursor.h"
#include "ollm/io/faulty_system_calls.h"
#include "ollm/plan/catalog.h"
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

bool decided(const Selection& selection, std::string_view what, std::string_view chosen) {
  const auto& decisions = selection.decisions;
  return std::any_of(decisions.begin(), decisions.end(), [&](const Decision& decision) {
    return decision.what == what && decision.chosen == chosen;
  });
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

// What stands under a name that is no folder is called what it is, by a path or by a name.
TEST(Resolve, AFileIsCalledWhatItIs) {
  World world;
  world.write("work/gg/model-q4.gguf", std::string("GGUF\3\0\0\0", 8));
  world.llama("work/m");
  world.write("models/x.gguf", "GGUF\3");
  world.write("work/notes", "text");
  struct Case {
    const char* reference;
    ErrorKind kind;
    const char* says;
  };
  const Case cases[] = {
      {"./gg/model-q4.gguf", ErrorKind::unsupported, "is a GGUF file"},
      {"gg/model-q4.gguf", ErrorKind::unsupported, "is a GGUF file"},
      {"x.gguf", ErrorKind::unsupported, "is a GGUF file"},
      {"gg", ErrorKind::unsupported, "model-q4.gguf is in llama.cpp's format"},
      {"./m/model.safetensors", ErrorKind::invalid_argument, "name its folder"},
      {"m/model.safetensors", ErrorKind::invalid_argument, "name its folder"},
      {"m/config.json", ErrorKind::invalid_argument, "name its folder"},
      {"notes", ErrorKind::invalid_argument, "a model is a folder"},
      {"/dev/null", ErrorKind::invalid_argument, "is a device"},
  };
  for (const Case& item : cases) {
    const auto planned = world.plan(item.reference);
    ASSERT_TRUE(planned.ok());
    EXPECT_EQ(planned->resolution.model.source_kind, ModelSourceKind::local_path) << item.reference;
    EXPECT_THAT(planned->selection.plan.reason, HasSubstr(item.says)) << item.reference;
    EXPECT_EQ(refusal(world, item.reference).kind, item.kind) << item.reference;
  }
  // A file shadows no alias, and nothing that is cached.
  world.write("work/llama3-1B-chat", "text");
  world.write("work/gpt2", "text");
  world.snapshot("models--gpt2", "main", kCommit, [&](const auto& dir) { world.llama(dir); });
  EXPECT_NE(world.plan("llama3-1B-chat")->resolution.model.catalog_entry, nullptr);
  EXPECT_TRUE(world.plan("gpt2")->selection.plan.is_executable());
}

TEST(Resolve, AFolderOfTheHubCacheIsItsSnapshot) {
  World world;
  const std::string folder = "models--org--name";
  world.snapshot(folder, "main", kCommit, [&](const auto& dir) { world.llama(dir); });
  const std::filesystem::path snapshot = world.root() / "hub" / folder / "snapshots" / kCommit;
  for (const std::string& reference :
       {(world.root() / "hub" / folder).string(), "../hub/" + folder, folder, snapshot.string()}) {
    const auto planned = world.plan(reference);
    ASSERT_TRUE(planned.ok());
    EXPECT_TRUE(planned->selection.plan.is_executable()) << planned->selection.plan.reason;
    EXPECT_EQ(planned->selection.plan.model_path, snapshot) << reference;
  }
  EXPECT_TRUE(decided(world.plan("../hub/" + folder)->selection, "model.snapshot", kCommit));
  std::filesystem::remove_all(world.root() / "hub" / folder / "snapshots");
  std::filesystem::create_directories(world.root() / "hub" / folder / "snapshots");
  const Error error = refusal(world, "../hub/" + folder);
  EXPECT_EQ(error.kind, ErrorKind::not_found);
  EXPECT_THAT(error.message, HasSubstr("it has no snapshot; fetch it with `hf download org/name`"));
  EXPECT_THAT(refusal(world, "../hub").message, HasSubstr("is the Hugging Face cache"));
}

TEST(Resolve, AnAdapterIsCalledOne) {
  World world;
  world.write("work/ad/adapter_config.json", R"({"base_model_name_or_path":"x/y"})");
  EXPECT_THAT(refusal(world, "ad").message, HasSubstr("it is an adapter of 'x/y'"));
  world.llama("work/both");
  world.write("work/both/adapter_config.json", "{}");
  const auto planned = world.plan("both");
  ASSERT_TRUE(planned.ok());
  EXPECT_FALSE(planned->selection.plan.is_executable());
  EXPECT_THAT(planned->selection.plan.reason, HasSubstr("an adapter lies beside the weights"));
  EXPECT_EQ(refusal(world, "both").kind, ErrorKind::unsupported);
}

TEST(Resolve, ANameOfOneWordIsLookedForInTheCache) {
  World world;
  world.snapshot("models--gpt2", "main", kCommit, [&](const auto& dir) { world.llama(dir); });
  for (const char* reference :
       {"gpt2", "hf://gpt2", "models--gpt2", "https://huggingface.co/gpt2"}) {
    const auto planned = world.plan(reference);
    ASSERT_TRUE(planned.ok());
    EXPECT_TRUE(planned->selection.plan.is_executable()) << reference;
    EXPECT_EQ(planned->resolution.model.source_kind, ModelSourceKind::hugging_face);
    EXPECT_EQ(planned->resolution.model.repo_id, "gpt2");
  }
  EXPECT_TRUE(world.plan("gpt2@" + std::string(kCommit))->resolution.materialized);
  EXPECT_FALSE(world.plan("gpt2@v1")->resolution.materialized);
  world.qwen2("models/gpt2");  // the models folder comes first
  EXPECT_EQ(world.plan("gpt2")->resolution.model.source_kind, ModelSourceKind::local_path);
}

TEST(Resolve, WhatIsNotThereTellsHowToGetIt) {
  World world;
  const std::pair<const char*, const char*> cases[] = {
      {"llama3-1B-chat", "`hf download unsloth/Llama-3.2-1B-Instruct`"},
      {"org/name", "`hf download org/name`"},
      {"org/name@v1", "`hf download org/name --revision v1`"},
      {"hf:name", "`hf download name`"},
      {"https://huggingface.co/org/name/tree/v1", "`hf download org/name --revision v1`"},
      {"nothing", "`hf download ORG/NAME`"},
      {"org/name@$(rm -r .)", "`hf download ORG/NAME`"},
  };
  for (const auto& [reference, says] : cases) {
    EXPECT_THAT(world.plan(reference)->selection.plan.reason, HasSubstr(says)) << reference;
    EXPECT_THAT(refusal(world, reference).message, HasSubstr(says)) << reference;
  }
  world.snapshot("models--Org--Name", "main", kCommit, [&](const auto& dir) { world.llama(dir); });
  EXPECT_THAT(refusal(world, "org/name").message, HasSubstr("did you mean Org/Name?"));
}

TEST(Resolve, AFolderThatOneMayNotEnterIsSaidToBe) {
  World world;
  world.llama("work/closed/tiny");
  io::FaultySystemCalls calls;
  calls.restrict_to("closed/tiny");
  calls.fail(io::FaultySystemCalls::Call::stat, 0, EACCES, io::FaultySystemCalls::Repeat::sticky);
  const auto planned = world.plan("./closed/tiny", calls);
  ASSERT_TRUE(planned.ok());
  EXPECT_EQ(planned->selection.refusal->kind, ErrorKind::io);
  EXPECT_THAT(planned->selection.refusal->message, HasSubstr("Permission denied"));
  const auto by_name = world.plan("closed/tiny", calls);
  ASSERT_TRUE(by_name.ok());
  EXPECT_EQ(by_name->selection.refusal->kind, ErrorKind::io);
}

// reliability D5: what a folder held that one may not expect is a decision of the plan.
TEST(Select, WhatAFolderHoldsBesideIsADecision) {
  World world;
  world.llama("work/tiny");
  world.write("work/tiny/generation_config.json", R"({"top_k":-1,"eos_token_id":2})");
  std::filesystem::rename(world.root() / "work/tiny/model.safetensors", world.root() / "weights");
  std::filesystem::create_symlink(world.root() / "weights",
                                  world.root() / "work/tiny/model.safetensors");
  const auto planned = world.plan("./tiny");
  ASSERT_TRUE(planned.ok());
  EXPECT_TRUE(planned->selection.plan.is_executable()) << planned->selection.plan.reason;
  std::vector<std::string> what;
  for (const Decision& decision : planned->selection.decisions) what.push_back(decision.what);
  EXPECT_THAT(what, ::testing::IsSupersetOf({"generation_config", "folder.links"}));
}

TEST(Select, WhatAConfigSaysReachesNoMessageAsItIs) {
  World world;
  Json config = tiny_config("evil\x1b[31m", "Evil\x1b]0;x\a");
  world.model("work/tiny", config, tiny_tensors());
  const auto planned = world.plan("./tiny");
  ASSERT_TRUE(planned.ok());
  EXPECT_EQ(printable(planned->selection.plan.reason), planned->selection.plan.reason);
  EXPECT_EQ(printable(planned->resolution.model.resolution_message),
            planned->resolution.model.resolution_message);
  config = tiny_config("llama", "LlamaForCausalLM");
  config["\x1b[31mkey"] = 1;
  world.model("work/key", config, tiny_tensors());
  EXPECT_THAT(world.plan("./key")->selection.plan.reason, HasSubstr("config.json: ?[31mkey: "));
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
  for (const char* architecture : {"MysteryForCausalLM", "LlamaForCausalLM"}) {
    Json config = tiny_config("mystery", architecture);
    config["auto_map"] = {{"AutoModel", "modeling.Model"}};
    world.model("work/tiny", config, tiny_tensors());
    const auto planned = world.plan("./tiny");
    EXPECT_TRUE(planned->resolution.inspection->requires_trust_remote_code);
    EXPECT_EQ(refusal(world, "./tiny").kind, ErrorKind::unsupported);
    EXPECT_THAT(refusal(world, "./tiny").message, HasSubstr("auto_map"));
  }
}

TEST(Inspect, CodeOfTheFolderGoesUnreadWhereTheTypeIsBuiltIn) {
  World world;
  Json config = tiny_config("llama", "LlamaForCausalLM");
  config["auto_map"] = {{"AutoModel", "modeling.Model"}};
  world.model("work/tiny", config, tiny_tensors());
  const auto planned = world.plan("./tiny");
  ASSERT_TRUE(planned.ok());
  EXPECT_TRUE(planned->selection.plan.is_executable());
  EXPECT_FALSE(planned->resolution.inspection->requires_trust_remote_code);
  EXPECT_TRUE(decided(planned->selection, "config.auto_map", "ignored"));
}

TEST(Inspect, ANullAutoMapNamesNoCode) {
  World world;
  Json config = tiny_config("mystery", "LlamaForCausalLM");
  config["auto_map"] = nullptr;
  world.model("work/tiny", config, tiny_tensors());
  const auto planned = world.plan("./tiny");
  ASSERT_TRUE(planned.ok());
  EXPECT_TRUE(planned->selection.plan.is_executable());
  EXPECT_FALSE(decided(planned->selection, "config.auto_map", "ignored"));
}

TEST(Inspect, WhatTheTextModelIsMadeOfIsOfNoOtherModel) {
  World world;
  auto tensors = tiny_tensors();
  for (auto& tensor : tensors) tensor.name = "language_model." + tensor.name;
  tensors.push_back({"vision_tower.weight", {4}});
  world.model("work/tiny", tiny_config("llama", "LlamaForCausalLM"), tensors);
  EXPECT_TRUE(decided(world.plan("./tiny")->selection, "weights.unused", "vision_tower.*"));
  tensors.push_back({"lm_head.bias", {16}});
  world.model("work/tiny", tiny_config("llama", "LlamaForCausalLM"), tensors);
  EXPECT_THAT(refusal(world, "./tiny").message, HasSubstr("lm_head.bias"));
}

// As Llava and LLaVA-OneVision read it: older ones are saved with false beside the text model's
// true.
TEST(Inspect, AHeadIsTiedWhereTheWholeModelOrItsTextModelSaysSo) {
  World world;
  Json config = {{"architectures", {"LlavaForConditionalGeneration"}},
                 {"model_type", "llava"},
                 {"vision_config", Json::object()},
                 {"text_config", tiny_config("llama", "LlamaForCausalLM")}};
  auto tensors = tiny_tensors();
  tensors.pop_back();  // lm_head.weight
  for (auto& tensor : tensors) tensor.name = "language_model." + tensor.name;
  for (const auto& [whole, text, tied] :
       {std::tuple{false, true, true}, {true, false, true}, {false, false, false}}) {
    config["tie_word_embeddings"] = whole;
    config["text_config"]["tie_word_embeddings"] = text;
    world.model("work/tiny", config, tensors);
    EXPECT_EQ(world.plan("./tiny")->selection.plan.is_executable(), tied) << whole << text;
  }
}

TEST(Inspect, LayersMayBeWrappedWhereTheEmbeddingIsNot) {
  World world;
  auto tensors = tiny_tensors();
  const std::string layer = "model.layers.0.";
  for (auto& tensor : tensors)
    if (tensor.name.starts_with(layer))
      tensor.name = layer + "_checkpoint_wrapped_module." + tensor.name.substr(layer.size());
  world.model("work/tiny", tiny_config("llama", "LlamaForCausalLM"), tensors);
  const auto planned = world.plan("./tiny");
  ASSERT_TRUE(planned.ok());
  EXPECT_TRUE(planned->selection.plan.is_executable());
  EXPECT_TRUE(decided(planned->selection, "weights.names", "_checkpoint_wrapped_module.*"));
}

TEST(Inspect, TheTypeDecidesWhereNoArchitectureIsNamed) {
  World world;
  for (const Json& names : {Json(nullptr), Json::array()}) {
    Json config = tiny_config("llama", "LlamaForCausalLM");
    config["architectures"] = names;
    world.model("work/tiny", config, tiny_tensors());
    const auto planned = world.plan("./tiny");
    ASSERT_TRUE(planned.ok());
    EXPECT_EQ(planned->selection.plan.backend_id, kOptimizedNative);
    EXPECT_TRUE(decided(planned->selection, "architecture", "LlamaForCausalLM"));
  }
}

TEST(Select, ATypeThatIsNotBuiltIsNamedBeforeItsKeysAreRead) {
  World world;
  Json config = tiny_config("opt", "OPTForCausalLM");
  config["hidden_size"] = "wide";
  world.model("work/tiny", config, tiny_tensors());
  EXPECT_EQ(refusal(world, "./tiny").kind, ErrorKind::unsupported);
  EXPECT_THAT(refusal(world, "./tiny").message, HasSubstr("model type 'opt' is not built"));
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
  world.options().allowances.config_keys = {"new_feature"};
  const auto planned = world.plan("./tiny");
  ASSERT_TRUE(planned.ok());
  EXPECT_TRUE(planned->selection.plan.is_executable());
  EXPECT_TRUE(decided(planned->selection, "config.allow_key", "new_feature"));
}

TEST(Select, AnUnknownModelTypeRunsWithItsSemanticsAssumed) {
  World world;
  world.model("work/tiny", tiny_config("llama_like", "LlamaLikeForCausalLM"), tiny_tensors());
  const auto planned = world.plan("./tiny");
  ASSERT_TRUE(planned.ok());
  EXPECT_EQ(planned->selection.plan.backend_id, kNativeGeneric);
  EXPECT_TRUE(decided(planned->selection, "semantics", "assumed"));
}

TEST(Select, WhatNeitherBackendComposesSaysWhyOfBoth) {
  World world;
  auto tensors = tiny_tensors();
  tensors.push_back({"model.layers.0.mystery.weight", {8}});
  world.model("work/tiny", tiny_config("llama", "LlamaForCausalLM"), tensors);
  const auto planned = world.plan("./tiny");
  ASSERT_TRUE(planned.ok());
  const PlanDraft& plan = planned->selection.plan;
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
  PlanDraft plan;
  plan.reason = "a\xFF\xC3\x28\xED\xA0\x80\xE2\x82\xAC";
  EXPECT_EQ(as_dict(plan)["reason"].get<std::string>(), "a\uFFFD\uFFFD(\uFFFD\uFFFD\uFFFD\u20AC");
}

TEST(Payloads, OfAModelKeepWhatWasResolvedBesideThePlansWord) {
  World world;
  const auto planned = world.plan("llama3-1B-chat");
  ASSERT_TRUE(planned.ok());
  const Json payload =
      merged_payload(RuntimePlan(planned->selection.plan), planned->resolution.materialized);
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
