// Layers, limits and contradictions of settings; the same for every field of the table.
#include "ollm/settings/settings.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "ollm/io/temporary_folder.h"
#include "ollm/settings/cache_folder.h"
#include "ollm/settings/fields.h"
#include "ollm/settings/layers.h"
#include "ollm/settings/payloads.h"

namespace ollm::settings {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

// Settings of a working directory of its own, from whichever layers a test fills.
class Sources {
 public:
  Sources() { sources_.environment.working_directory = folder_.path(); }

  Sources& toml(std::string_view text, const std::string& name = "ollm.toml") {
    folder_.write(name, text);
    return *this;
  }
  Sources& env(const std::string& name, const std::string& value) {
    sources_.environment.variables[name] = value;
    return *this;
  }
  Sources& cli(const std::string& field, SettingsValue value, const std::string& place = "--flag") {
    sources_.overrides.push_back({field, std::move(value), place});
    return *this;
  }
  Sources& config_file(const std::string& name) {
    sources_.config_file = name;
    return *this;
  }

  Result<Settings> load() const { return load_settings(sources_); }
  Settings loaded() const {
    auto settings = load();
    EXPECT_TRUE(settings.ok()) << settings.error().message;
    return settings.ok() ? *settings : Settings{};
  }
  std::string refused() const {
    const auto settings = load();
    EXPECT_FALSE(settings.ok());
    if (settings.ok()) return "";
    EXPECT_EQ(settings.error().kind, ErrorKind::invalid_argument);
    return settings.error().message;
  }
  const std::filesystem::path& path() const { return folder_.path(); }

 private:
  io::TemporaryFolder folder_;
  SettingsSources sources_;
};

// The example of a field as TOML.
std::string toml_of(const SettingsField& field) {
  switch (field.type) {
    case FieldType::boolean:
    case FieldType::integer:
    case FieldType::number:
      return std::string(field.example);
    default:
      return fmt::format("\"{}\"", field.example);
  }
}

// Layers that go together with the example of a field.
void add_company(Sources& sources, const SettingsField& field) {
  const std::string name = field.qualified_name();
  if (name == "runtime.offload_cpu_layers" || name == "runtime.offload_gpu_layers")
    sources.cli("runtime.device", std::string("cuda"));
  if (name == "server.response_store_factory")
    sources.cli("server.response_store_backend", std::string("plugin"));
}

class EveryField : public ::testing::TestWithParam<const SettingsField*> {
 protected:
  SettingsValue expected() const {
    return *parse_value(*GetParam(), std::string(GetParam()->example), true);
  }
};

TEST_P(EveryField, HasAnExampleOtherThanItsDefault) {
  const auto value = parse_value(*GetParam(), std::string(GetParam()->example), true);
  ASSERT_TRUE(value.ok()) << value.error().message;
  EXPECT_NE(*value, GetParam()->get(Settings{}));
}

TEST_P(EveryField, HasAFlagAndWordsForHelp) {
  EXPECT_TRUE(GetParam()->flag.starts_with("--"));
  EXPECT_FALSE(GetParam()->summary.empty());
  EXPECT_FALSE(GetParam()->expects().empty());
  EXPECT_EQ(GetParam()->type == FieldType::boolean, !GetParam()->off_flag.empty());
}

TEST_P(EveryField, HasADefaultWithinItsLimits) {
  EXPECT_TRUE(parse_value(*GetParam(), GetParam()->get(Settings{}), false).ok());
}

TEST_P(EveryField, ComesFromTheFile) {
  const SettingsField& field = *GetParam();
  Sources sources;
  add_company(sources, field);
  sources.toml(fmt::format("\n[{}]\n{} = {}\n", field.section, field.name, toml_of(field)));
  const Settings settings = sources.loaded();
  EXPECT_EQ(field.get(settings), expected());
  EXPECT_EQ(settings.origin(field.qualified_name()),
            (FieldOrigin{Origin::config_file, "ollm.toml:3"}));
}

TEST_P(EveryField, ComesFromTheEnvironmentAboveTheFile) {
  const SettingsField& field = *GetParam();
  Sources sources;
  add_company(sources, field);
  if (field.type == FieldType::boolean)
    sources.toml(fmt::format("[{}]\n{} = {}\n", field.section, field.name,
                             std::get<bool>(expected()) ? "false" : "true"));
  sources.env(field.environment_name(), std::string(field.example));
  const Settings settings = sources.loaded();
  EXPECT_EQ(field.get(settings), expected());
  EXPECT_EQ(settings.origin(field.qualified_name()),
            (FieldOrigin{Origin::env, field.environment_name()}));
}

TEST_P(EveryField, ComesFromTheCommandLineAboveAll) {
  const SettingsField& field = *GetParam();
  Sources sources;
  add_company(sources, field);
  sources.cli(field.qualified_name(), std::string(field.example), std::string(field.flag));
  const Settings settings = sources.loaded();
  EXPECT_EQ(field.get(settings), expected());
  EXPECT_EQ(settings.origin(field.qualified_name()),
            (FieldOrigin{Origin::cli, std::string(field.flag)}));
  EXPECT_TRUE(settings.given(field.qualified_name()));
}

TEST_P(EveryField, IsSetBackByAutoWhereItMayBeAbsent) {
  const SettingsField& field = *GetParam();
  if (!field.nullable) return;
  Sources sources;
  sources.env(field.environment_name(), std::string(field.example))
      .cli(field.qualified_name(), std::string("auto"));
  if (field.name == "response_store_factory") sources.cli("server.response_store_backend", "none");
  const Settings settings = sources.loaded();
  EXPECT_EQ(field.get(settings), SettingsValue(std::monostate{}));
  EXPECT_EQ(settings.origin(field.qualified_name()).origin, Origin::cli);
}

TEST_P(EveryField, RefusesWhatIsOutsideItsLimits) {
  const SettingsField& field = *GetParam();
  std::vector<SettingsValue> wrong;
  switch (field.type) {
    case FieldType::boolean:
      wrong = {std::string("maybe"), std::string(), std::int64_t{2}, 1.0};
      break;
    case FieldType::integer:
    case FieldType::tokens:
    case FieldType::bytes:
      wrong = {std::string("x"),
               std::string(),
               std::string("-9223372036854775808"),
               static_cast<std::int64_t>(field.min) - 1,
               1.5,
               true};
      break;
    case FieldType::number:
      wrong = {std::string("x"),   std::string(),   std::string("nan"),
               std::string("inf"), field.min - 0.5, true};
      if (field.above_min) wrong.emplace_back(field.min);
      if (field.max <= 2) wrong.emplace_back(field.max + 0.5);
      break;
    case FieldType::choice:
      wrong = {std::string("something"), std::string(), std::string(" "), std::int64_t{1}};
      break;
    case FieldType::text:
    case FieldType::path:
      wrong = {std::string(), std::string("a\nb"),   std::string("a\0b", 3), std::int64_t{1},
               true,          std::string(5000, 'a')};
      break;
    case FieldType::texts:
      wrong = {std::string(), std::string(257, 'a'), std::vector<std::string>(17, "a"),
               std::int64_t{1}};
      break;
  }
  if (!field.nullable) wrong.emplace_back(std::monostate{});
  for (const SettingsValue& value : wrong) {
    const auto parsed = parse_value(field, value, true);
    ASSERT_FALSE(parsed.ok()) << field.qualified_name() << " index " << value.index();
    EXPECT_EQ(parsed.error().kind, ErrorKind::invalid_argument);
    EXPECT_THAT(parsed.error().message, HasSubstr("expected "));
  }
}

std::vector<const SettingsField*> every_field() {
  std::vector<const SettingsField*> out;
  for (const SettingsField& field : settings_fields()) out.push_back(&field);
  return out;
}

std::string field_name(const ::testing::TestParamInfo<const SettingsField*>& field) {
  return fmt::format("{}_{}", field.param->section, field.param->name);
}

INSTANTIATE_TEST_SUITE_P(Table, EveryField, ::testing::ValuesIn(every_field()), field_name);

TEST(Settings, NamesAndFlagsAreThereOnce) {
  std::set<std::string_view> names;
  for (const SettingsField& field : settings_fields()) {
    EXPECT_TRUE(names.insert(field.flag).second) << field.flag;
    if (!field.off_flag.empty()) {
      EXPECT_TRUE(names.insert(field.off_flag).second) << field.off_flag;
    }
    EXPECT_EQ(find_field(field.qualified_name()), &field);
  }
}

TEST(Settings, WithoutLayersAreTheDefaults) {
  const Settings settings = Sources().loaded();
  EXPECT_EQ(settings.runtime, RuntimeConfig{});
  EXPECT_EQ(settings.runtime.device, "cpu");
  EXPECT_EQ(settings.generation, GenerationSettings{});
  EXPECT_FALSE(settings.config_file.has_value());
  EXPECT_EQ(settings.origin("runtime.device").origin, Origin::defaults);
}

TEST(Settings, OfAHigherLayerWin) {
  Sources sources;
  sources.toml("[server]\nport = 1\n")
      .env("OLLM_SERVER__PORT", "2")
      .cli("server.port", std::string("3"));
  EXPECT_EQ(sources.loaded().server.port, 3);
}

TEST(Settings, MergeFieldByField) {
  Sources sources;
  sources.toml("[runtime]\ndevice = \"cuda\"\nstats = true\n").env("OLLM_RUNTIME__DEVICE", "cpu");
  const Settings settings = sources.loaded();
  EXPECT_EQ(settings.runtime.device, "cpu");
  EXPECT_TRUE(settings.runtime.stats);
}

TEST(Settings, ASectionMayBeOneVariableWithJson) {
  Sources sources;
  sources.env("OLLM_RUNTIME", R"({"device": "cuda", "threads": 3, "memory": "1GiB"})")
      .env("OLLM_RUNTIME__DEVICE", "cpu");
  const Settings settings = sources.loaded();
  EXPECT_EQ(settings.runtime.device, "cpu");
  EXPECT_EQ(settings.runtime.threads, 3);
  EXPECT_EQ(settings.runtime.memory, std::int64_t{1} << 30);
}

TEST(Settings, VariablesAreTakenInAnyCase) {
  EXPECT_EQ(Sources().env("ollm_server__Port", "81").loaded().server.port, 81);
}

TEST(Settings, AVariableInTwoCasesMustNotContradict) {
  Sources sources;
  sources.env("OLLM_SERVER__PORT", "81").env("ollm_server__port", "82");
  EXPECT_THAT(sources.refused(), HasSubstr("says other than OLLM_SERVER__PORT"));
}

TEST(Settings, IsaHasAnotherNameInTheEnvironment) {
  EXPECT_EQ(Sources().env("OLLM_ISA", "avx2").loaded().runtime.isa, "avx2");
  Sources both;
  both.env("OLLM_ISA", "avx2").env("OLLM_RUNTIME__ISA", "scalar");
  EXPECT_THAT(both.refused(), HasSubstr("names the same setting"));
}

TEST(Settings, UnrelatedVariablesAreLeftAlone) {
  Sources sources;
  sources.env("OLLM_NOW", "2026-01-15").env("OLLM_TEST_DATA", "x").env("OLLM_OTHER__X", "1");
  EXPECT_TRUE(sources.load().ok());
}

TEST(Settings, AMistypedSectionOfAVariableIsToldWithTheNearest) {
  EXPECT_THAT(Sources().env("OLLM_RUNTIM__DEVICE", "cpu").refused(),
              HasSubstr("did you mean runtime?"));
}

TEST(Settings, TheFileOfAVariableIsTaken) {
  Sources sources;
  sources.toml("[server]\nport = 5\n", "other.toml").env("OLLM_CONFIG_FILE", "other.toml");
  const Settings settings = sources.loaded();
  EXPECT_EQ(settings.server.port, 5);
  EXPECT_EQ(settings.config_file, sources.path() / "other.toml");
  EXPECT_EQ(settings.origin("server.port").place, "other.toml:2");
}

TEST(Settings, TheFileOfTheCommandLineIsAboveThatOfTheVariable) {
  Sources sources;
  sources.toml("[server]\nport = 5\n", "a.toml")
      .toml("[server]\nport = 6\n", "b.toml")
      .env("OLLM_CONFIG_FILE", "a.toml")
      .config_file("b.toml");
  EXPECT_EQ(sources.loaded().server.port, 6);
}

TEST(Settings, AFileThatWasAskedForHasToBeThere) {
  EXPECT_THAT(Sources().config_file("none.toml").refused(), HasSubstr("none.toml"));
  EXPECT_THAT(Sources().env("OLLM_CONFIG_FILE", "none.toml").refused(), HasSubstr("none.toml"));
}

TEST(Settings, AFolderIsNoFile) {
  Sources sources;
  sources.toml("", "ollm.toml/x");
  EXPECT_THAT(sources.refused(), HasSubstr("ollm.toml"));
}

TEST(Settings, AllProblemsOfAFileAreToldWithLineAndNearestName) {
  const std::string message = Sources()
                                  .toml(
                                      "[runtime]\n"
                                      "divice = \"cpu\"\n"
                                      "threads = 0\n"
                                      "isa = \"mmx\"\n"
                                      "[servr]\n"
                                      "port = 1\n"
                                      "[generation]\n"
                                      "stop = [1]\n"
                                      "seed = 1979-05-27\n")
                                  .refused();
  EXPECT_EQ(message,
            "6 problems in the settings:\n"
            "  ollm.toml:2: there is no setting runtime.divice; did you mean runtime.device?\n"
            "  ollm.toml:5: there is no table [servr]; did you mean [server]?\n"
            "  ollm.toml:8: generation.stop: a setting cannot be a list of other than texts\n"
            "  ollm.toml:9: generation.seed: a setting cannot be a date or time\n"
            "  ollm.toml:3: runtime.threads: expected an integer from 1 to 4096, or auto, found 0\n"
            "  ollm.toml:4: runtime.isa: expected one of scalar, avx2, avx512, avx512-bf16, or "
            "auto, found 'mmx'");
}

TEST(Settings, AFieldOutsideOfItsTableIsToldWhereItBelongs) {
  EXPECT_THAT(Sources().toml("device = \"cpu\"\n").refused(),
              HasSubstr("'device' belongs into the table [runtime]"));
}

TEST(Settings, WhatIsNotTomlIsToldWithItsLine) {
  EXPECT_THAT(Sources().toml("[runtime]\ndevice = \n").refused(),
              HasSubstr("ollm.toml:2: not TOML"));
  // These broke an assertion and an assumption of the library.
  EXPECT_THAT(Sources().toml("\uFEFB = 1\n").refused(), HasSubstr("ollm.toml:1: not TOML"));
  EXPECT_THAT(Sources().toml("[#untime\n").refused(), HasSubstr("ollm.toml:1: not TOML"));
}

TEST(Settings, ProblemsOfAllLayersAreToldTogether) {
  const std::string message = Sources()
                                  .toml("[runtime]\nfoo = 1\n")
                                  .env("OLLM_SERVER__PORT", "-1")
                                  .cli("runtime.threads", std::string("x"), "--threads")
                                  .refused();
  EXPECT_THAT(message, HasSubstr("ollm.toml:2: there is no setting runtime.foo"));
  EXPECT_THAT(message, HasSubstr("OLLM_SERVER__PORT: server.port: expected"));
  EXPECT_THAT(message, HasSubstr("--threads: runtime.threads: expected"));
}

TEST(Settings, AValueThatIsOverriddenIsNotHeldToItsLimits) {
  Sources sources;
  sources.env("OLLM_SERVER__PORT", "-1").cli("server.port", std::string("80"));
  EXPECT_EQ(sources.loaded().server.port, 80);
}

TEST(Settings, AnEmptyValueIsAValue) {
  EXPECT_THAT(Sources().env("OLLM_RUNTIME__KV_CACHE_STRATEGY", "").refused(),
              HasSubstr("kv_cache_strategy: expected one of resident, chunked"));
}

TEST(Settings, NamesOfChoicesAreTrimmedAndInAnyCase) {
  EXPECT_EQ(Sources()
                .env("OLLM_RUNTIME__KV_CACHE_STRATEGY", " Paged ")
                .loaded()
                .runtime.kv_cache_strategy,
            "paged");
}

TEST(Settings, TheOldNameOfTheGenericBackendIsTakenAndNeverTold) {
  EXPECT_EQ(Sources().env("OLLM_RUNTIME__BACKEND", "Transformers-Generic").loaded().runtime.backend,
            "native-generic");
}

TEST(Settings, TextOfTheFileIsNoNumber) {
  EXPECT_THAT(Sources().toml("[server]\nport = \"80\"\n").refused(),
              HasSubstr("expected an integer from 0 to 65535, found '80'"));
}

TEST(Settings, AListIsGivenByItsFlagAgainAndAgain) {
  Sources sources;
  sources.env("OLLM_GENERATION__STOP", R"(["x", "y"])")
      .cli("generation.stop", std::string("a"))
      .cli("generation.stop", std::string("b"));
  EXPECT_EQ(sources.loaded().generation.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(Sources().env("OLLM_GENERATION__STOP", R"(["x", "y"])").loaded().generation.stop,
            (std::vector<std::string>{"x", "y"}));
}

TEST(Settings, DevicesAreThoseThatCanBeBuilt) {
  for (const char* device : {"cpu", "cuda", "cuda:1", "CPU", "cpu:0"})
    EXPECT_TRUE(Sources().cli("runtime.device", std::string(device)).load().ok()) << device;
  for (const char* device : {"mps", "cuda:", "cuda:x", "cuda:1:2", "cuda0", ":0"})
    EXPECT_FALSE(Sources().cli("runtime.device", std::string(device)).load().ok()) << device;
}

TEST(Settings, ContradictionsNameBothFieldsWithTheirOrigin) {
  const std::string message =
      Sources()
          .toml("[runtime]\nkv_cache_lifecycle = \"persistent\"\n")
          .cli("runtime.kv_cache_strategy", std::string("resident"), "--kv-cache-strategy")
          .refused();
  EXPECT_EQ(message,
            "settings: runtime.kv_cache_strategy (--kv-cache-strategy), runtime.kv_cache_lifecycle "
            "(ollm.toml:2): resident keys and values are gone when the process ends, so they "
            "cannot be persistent");
}

TEST(Settings, ResidentMeansRuntimeScopedWhereNoLifecycleWasAskedFor) {
  const Settings settings =
      Sources().cli("runtime.kv_cache_strategy", std::string("resident")).loaded();
  EXPECT_EQ(settings.runtime.kv_cache_lifecycle, "persistent");  // the selector applies another
  EXPECT_TRUE(Sources()
                  .cli("runtime.kv_cache_strategy", std::string("resident"))
                  .cli("runtime.kv_cache_lifecycle", std::string("runtime-scoped"))
                  .load()
                  .ok());
}

TEST(Settings, TheCacheFolderIsTheUsers) {
  io::Environment environment{{{"HOME", "/home/a"}}, "/somewhere"};
  RuntimeConfig config;
  EXPECT_EQ(*cache_folder(config, environment), "/home/a/.cache/ollm");
  environment.variables["XDG_CACHE_HOME"] = "/caches";
  EXPECT_EQ(*cache_folder(config, environment), "/caches/ollm");
  environment.variables["XDG_CACHE_HOME"] = "caches";  // not absolute: as if it were not set
  EXPECT_EQ(*cache_folder(config, environment), "/home/a/.cache/ollm");
  config.cache_dir = "kv";
  EXPECT_EQ(*cache_folder(config, environment), "/somewhere/kv");
}

TEST(Settings, WhoHasNoHomeIsToldWhatToSetForACacheFolder) {
  const auto folder = cache_folder({}, {{}, "/somewhere"});
  ASSERT_FALSE(folder.ok());
  EXPECT_EQ(folder.error().kind, ErrorKind::invalid_argument);
  for (const char* name : {"XDG_CACHE_HOME", "HOME", "--cache-dir", "--no-cache"})
    EXPECT_THAT(folder.error().message, HasSubstr(name));
  EXPECT_EQ(Sources().loaded().runtime.cache_dir, std::nullopt);
}

TEST(SettingsPayload, ShowsTheCacheFolderAsADefault) {
  const Settings settings = Sources().env("HOME", "/home/a").loaded();
  EXPECT_EQ(config_show_payload(settings)["runtime"]["cache_dir"].dump(),
            R"({"value":"/home/a/.cache/ollm","origin":"defaults"})");
}

TEST(Settings, EveryContradictionIsRefused) {
  const std::vector<std::vector<std::pair<const char*, const char*>>> contradictions = {
      {{"runtime.kv_cache_strategy", "paged"}, {"runtime.kv_cache_window_tokens", "64"}},
      {{"runtime.use_cache", "no"}, {"runtime.kv_ephemeral", "yes"}},
      {{"runtime.verbose", "yes"}, {"runtime.quiet", "yes"}},
      {{"runtime.use_specialization", "no"}, {"runtime.backend", "optimized-native"}},
      {{"runtime.offload_cpu_layers", "1"}},
      {{"runtime.offload_cpu_layers", "1"}, {"runtime.device", "cpu:0"}},
      {{"runtime.offload_gpu_layers", "1"}},
      {{"runtime.offload_cpu_layers", "1"},
       {"runtime.offload_gpu_layers", "1"},
       {"runtime.device", "cuda"}},
      {{"server.response_store_backend", "plugin"}},
      {{"server.response_store_factory", "x"}},
  };
  for (const auto& fields : contradictions) {
    Sources sources;
    for (const auto& [field, value] : fields) sources.cli(field, std::string(value));
    EXPECT_THAT(sources.refused(), HasSubstr(fields.front().first));
  }
}

TEST(Settings, SetByAProgramAreHeldToTheSameRules) {
  Settings settings;
  EXPECT_TRUE(check_settings(settings).ok());
  settings.server.port = -1;
  settings.runtime.verbose = settings.runtime.quiet = true;
  const auto checked = check_settings(settings);
  ASSERT_FALSE(checked.ok());
  EXPECT_THAT(checked.error().message, HasSubstr("server.port: expected"));
  EXPECT_THAT(checked.error().message, HasSubstr("exclude each other"));
}

TEST(Settings, GuessesAreAutoOffOrANumber) {
  RuntimeConfig config;
  EXPECT_EQ(config.most_drafts(), std::nullopt);
  config.speculate = "off";
  EXPECT_EQ(config.most_drafts(), 0U);
  config.speculate = "16";
  EXPECT_EQ(config.most_drafts(), 16U);
  for (const char* wrong : {"0", "65", "-1", "on", "16x", "", "1e3"}) {
    Sources sources;
    sources.cli("runtime.speculate", std::string(wrong));
    EXPECT_THAT(sources.refused(), HasSubstr("auto, off or 1 to 64")) << wrong;
  }
}

TEST(Settings, TheWindowIsResolvedWhereItApplies) {
  RuntimeConfig config;
  EXPECT_EQ(config.resolved_window_tokens(), std::nullopt);
  config.strategy_selector_profile = "bounded-window";
  EXPECT_EQ(config.resolved_window_tokens(), 256);
  config.kv_cache_window_tokens = 99;
  EXPECT_EQ(config.resolved_window_tokens(), 99);
  config.kv_cache_strategy = "paged";
  EXPECT_EQ(config.resolved_window_tokens(), std::nullopt);
}

TEST(SettingsPayload, OfARuntimeHasTheSeedsKeysInOrderThenOurs) {
  const io::Environment environment{{{"HOME", "/home/a"}}, "/somewhere"};
  RuntimeConfig config;
  config.models_dir = "~/models";
  EXPECT_EQ(runtime_config_payload(config, environment).dump(),
            R"({"model_reference":"llama3-1B-chat","models_dir":"/home/a/models","device":"cpu",)"
            R"("backend":null,"adapter_dir":null,"multimodal":false,"use_specialization":true,)"
            R"("cache_dir":"/home/a/.cache/ollm","use_cache":true,"kv_cache_strategy":"auto",)"
            R"("strategy_selector_profile":"balanced","kv_cache_lifecycle":"persistent",)"
            R"("kv_cache_adaptation_mode":"observe-only","kv_cache_window_tokens":null,)"
            R"("dense_projection_chunk_rows":null,"offload_cpu_layers":0,)"
            R"("offload_cpu_policy":"auto","offload_gpu_layers":0,"force_download":false,)"
            R"("stats":false,"verbose":false,"quiet":false,"memory":null,"threads":null,)"
            R"("prefill_chunk":null,"context":null,"compute":null,"isa":null,)"
            R"("kv_ephemeral":false,"kv_cache_max_bytes":null,"speculate":"auto"})");
}

TEST(SettingsPayload, OfAGenerationHasTheSeedsKeysInOrderThenOurs) {
  EXPECT_EQ(generation_config_payload({}).dump(),
            R"({"max_new_tokens":500,"temperature":0.0,"top_p":null,"top_k":null,"seed":null,)"
            R"("stream":true,"min_p":null,"typical_p":null,"repetition_penalty":null,)"
            R"("presence_penalty":null,"frequency_penalty":null,"ignore_eos":false,"stop":[]})");
}

TEST(SettingsOrigin, OfANameThatNoFieldHasIsTheDefault) {
  const Settings settings = Sources().env("OLLM_SERVER__PORT", "81").loaded();
  for (const std::string_view name : {"typo", "", ".", "server", "server.", ".port", "server.port ",
                                      "Server.port", "server.portx"}) {
    EXPECT_FALSE(settings.given(name)) << name;
    EXPECT_EQ(settings.origin(name), FieldOrigin{}) << name;
  }
  EXPECT_TRUE(settings.given("server.port"));
}

TEST(SettingsOrigin, AListOfOriginsMayHaveAnyLength) {
  Settings settings = Sources().env("OLLM_SERVER__PORT", "81").loaded();
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{1000}}) {
    settings.origins.resize(size);
    for (const SettingsField& field : settings_fields())
      EXPECT_LE(settings.origin(field.qualified_name()).place.size(), 20u);
    EXPECT_TRUE(check_settings(settings).ok());
    EXPECT_TRUE(config_show_payload(settings).is_object());
  }
}

TEST(SettingsVariables, UnknownOnesAreToldWithTheNearest) {
  const auto told = [](const std::string& name) {
    const auto warnings = unknown_variables({{{name, "1"}}, "/"});
    EXPECT_LE(warnings.size(), 1u);
    return warnings.empty() ? "" : warnings.front();
  };
  EXPECT_EQ(told("OLLM_MEMORY"),
            "OLLM_MEMORY: nothing reads this variable; did you mean OLLM_RUNTIME__MEMORY?");
  EXPECT_THAT(told("OLLM_RUNTIME_DEVICE"), HasSubstr("did you mean OLLM_RUNTIME__DEVICE?"));
  EXPECT_THAT(told("OLLM_CONFIG"), HasSubstr("OLLM_CONFIG: nothing reads this variable"));
  EXPECT_THAT(told("OLLM_CONFIGFILE"), HasSubstr("did you mean OLLM_CONFIG_FILE?"));
  EXPECT_THAT(told("ollm_isa"), HasSubstr("did you mean OLLM_ISA?"));  // read as it is spelt
  EXPECT_THAT(told("OLLM_OTHER__X"), HasSubstr("nothing reads"));
  EXPECT_EQ(told("OLLM_"), "OLLM_: nothing reads this variable");
  for (const char* name :
       {"OLLM_ISA", "OLLM_NOW", "OLLM_CONFIG_FILE", "OLLM_API_KEY", "OLLM_TEST_DATA",
        "OLLM_REQUIRE_TEST_DATA", "OLLM_RUNTIME", "OLLM_GENERATION__TOP_P", "ollm_runtime__device",
        "OLLM", "OLLAMA_HOST", "HOME", ""})
    EXPECT_EQ(told(name), "") << name;
  for (const SettingsField& field : settings_fields())
    EXPECT_EQ(told(field.environment_name()), "");
}

TEST(SettingsFile, ANameWithAZeroByteIsNoPath) {
  Sources sources;
  sources.toml("[server]\nport = 81\n");
  EXPECT_THAT(sources.config_file(std::string("ollm.toml\0x", 11)).refused(),
              HasSubstr("a zero byte"));
}

TEST(SettingsFile, AMarkInFrontIsPassedOver) {
  Sources sources;
  sources.toml("\xEF\xBB\xBF[server]\r\nport = 81\r\n");
  EXPECT_EQ(sources.loaded().server.port, 81);
  sources.toml(std::string("\xFF\xFE[\0s\0", 6));
  EXPECT_THAT(sources.refused(), HasSubstr("ollm.toml: is UTF-16"));
}

TEST(SettingsPayload, ShowsEveryFieldWithItsOrigin) {
  const Settings settings =
      Sources().env("OLLM_SERVER__PORT", "81").cli("runtime.memory", std::string("4GiB")).loaded();
  const Json shown = config_show_payload(settings);
  EXPECT_EQ(shown["server"]["port"].dump(), R"({"value":81,"origin":"env"})");
  EXPECT_EQ(shown["runtime"]["memory"].dump(), R"({"value":4294967296,"origin":"cli"})");
  EXPECT_EQ(shown["benchmark"]["history_dir"].dump(), R"({"value":null,"origin":"defaults"})");
  std::size_t count = 0;
  for (const auto& section : shown) count += section.size();
  EXPECT_EQ(count, settings_fields().size());
}

}  // namespace
}  // namespace ollm::settings
