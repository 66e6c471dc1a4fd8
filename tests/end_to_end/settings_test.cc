// Every settings field from every layer, through the real command line; and what contradictions
// get.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ollm/io/temporary_folder.h"
#include "ollm/settings/fields.h"
#include "tests/end_to_end/run_command.h"

namespace ollm::testing {
namespace {

using Json = nlohmann::ordered_json;
using settings::FieldType;
using settings::SettingsField;

std::string in_shell(std::string_view text) { return fmt::format("'{}'", text); }

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

std::string flag_of(const SettingsField& field) {
  if (field.type == FieldType::boolean)
    return std::string(field.example == "true" ? field.flag : field.off_flag);
  return fmt::format("{} {}", field.flag, in_shell(field.example));
}

// Flags that go together with the example of a field.
std::string company_of(const SettingsField& field) {
  const std::string name = field.qualified_name();
  if (name == "runtime.offload_cpu_layers" || name == "runtime.offload_gpu_layers")
    return " --device cuda";
  if (name == "server.response_store_factory") return " --response-store-backend plugin";
  return {};
}

class EveryFieldByCommand : public ::testing::TestWithParam<const SettingsField*> {
 protected:
  const SettingsField& field() const { return *GetParam(); }

  // `config show --json` in a folder of its own; the field's value and origin.
  Json shown(const std::string& environment, const std::string& flags, bool company = true) {
    const CommandResult run = run_shell(fmt::format(
        "cd {} && {} \"$OLLM\" config show --json {}{}", in_shell(folder_.path().string()),
        environment, flags, company ? company_of(field()) : std::string()));
    EXPECT_EQ(run.exit_code, 0) << run.err;
    const Json all = Json::parse(run.out, nullptr, false);
    if (!all.is_object()) return {};
    return all[std::string(field().section)][std::string(field().name)];
  }

  io::TemporaryFolder folder_;
};

TEST_P(EveryFieldByCommand, ComesFromItsLayer) {
  const Json by_default = shown("", "", false);
  EXPECT_EQ(by_default["origin"], "defaults");

  const std::string variable =
      fmt::format("{}={}", field().environment_name(), in_shell(field().example));
  const Json by_env = shown(variable, "");
  EXPECT_EQ(by_env["origin"], "env");
  EXPECT_NE(by_env["value"], by_default["value"]);

  const Json by_flag = shown("", flag_of(field()));
  EXPECT_EQ(by_flag["origin"], "cli");
  EXPECT_EQ(by_flag["value"], by_env["value"]);

  folder_.write("ollm.toml",
                fmt::format("[{}]\n{} = {}\n", field().section, field().name, toml_of(field())));
  const Json by_file = shown("", "");
  EXPECT_EQ(by_file["origin"], "config_file");
  EXPECT_EQ(by_file["value"], by_env["value"]);

  // The higher layer wins.
  EXPECT_EQ(shown(variable, "")["origin"], "env");
  EXPECT_EQ(shown(variable, flag_of(field()))["origin"], "cli");
}

std::vector<const SettingsField*> all_fields() {
  std::vector<const SettingsField*> out;
  for (const SettingsField& field : settings::settings_fields()) out.push_back(&field);
  return out;
}

std::string field_name(const ::testing::TestParamInfo<const SettingsField*>& field) {
  return fmt::format("{}_{}", field.param->section, field.param->name);
}

INSTANTIATE_TEST_SUITE_P(All, EveryFieldByCommand, ::testing::ValuesIn(all_fields()), field_name);

TEST(SettingsByCommand, EveryOffendingFieldIsNamedWithItsOriginAtOnce) {
  io::TemporaryFolder folder;
  folder.write(
      "ollm.toml",
      "[runtime]\nthreads = 0\nmemroy = \"4GiB\"\nverbose = true\n[generation]\ntop_p = 2\n");
  for (const char* command : {"config show", "plan some", "prompt hi", "models list"}) {
    const CommandResult run = run_shell(
        fmt::format("cd {} && OLLM_RUNTIME__DEVICE=tpu OLLM_RUNTIME__QUIET=1 \"$OLLM\" {} "
                    "--kv-cache-strategy paper",
                    in_shell(folder.path().string()), command));
    EXPECT_EQ(run.exit_code, 2) << command;
    EXPECT_EQ(run.out, "") << command;
    for (const char* words :
         {"ollm.toml:2", "runtime.threads", "ollm.toml:3", "runtime.memory", "ollm.toml:6",
          "generation.top_p", "OLLM_RUNTIME__DEVICE", "tpu", "--kv-cache-strategy", "paper",
          "runtime.verbose", "OLLM_RUNTIME__QUIET"})
      EXPECT_NE(run.err.find(words), std::string::npos) << command << ": " << words << "\n"
                                                        << run.err;
  }
}

// What --help marks as refused is refused, and what it does not mark runs.
TEST(SettingsByCommand, WhatIsMarkedAsNotBuiltIsWhatPlansRefuse) {
  const auto run_with = [](const SettingsField& field, std::string_view value) {
    return run_ollm(fmt::format("prompt --ids 1,4,51 --max-new-tokens 1 --model {} {}={}",
                                kShippedModel, field.flag, in_shell(value)));
  };
  for (const SettingsField& field : settings::settings_fields()) {
    if (field.section != "runtime" || field.flag == "--model" || field.flag == "--models-dir" ||
        field.flag == "--isa" ||      // which tables run is the machine's word
        field.flag == "--cache-dir")  // would be made beside the sources
      continue;
    const settings::NotBuilt& refused = field.not_built;
    std::vector<std::string_view> values(field.choices.begin(), field.choices.end());
    if (values.empty()) values.push_back(field.example);
    for (const std::string_view value : values) {
      const bool marked =
          !refused.why.empty() &&
          (refused.values.empty() ||
           std::any_of(refused.values.begin(), refused.values.end(),
                       [&](std::string_view one) { return value.starts_with(one); }));
      const CommandResult run = run_with(field, value);
      EXPECT_EQ(run.exit_code, marked ? 2 : 0) << field.flag << " " << value << ": " << run.err;
    }
    for (const std::string_view value : refused.values)
      EXPECT_EQ(run_with(field, value).exit_code, 2) << field.flag << " " << value;
  }
}

TEST(SettingsByCommand, AFileThatWasNamedIsTakenFromWhereItWasNamed) {
  io::TemporaryFolder folder;
  folder.write("a.toml", "[runtime]\nthreads = 3\n");
  folder.write("b.toml", "[runtime]\nthreads = 5\n");
  const std::string cd = fmt::format("cd {} && ", in_shell(folder.path().string()));
  const auto threads = [&](const std::string& rest) {
    const CommandResult run = run_shell(cd + rest);
    EXPECT_EQ(run.exit_code, 0) << run.err;
    return Json::parse(run.out)["runtime"]["threads"]["value"];
  };
  EXPECT_EQ(threads("OLLM_CONFIG_FILE=a.toml \"$OLLM\" config show --json"), 3);
  EXPECT_EQ(threads("OLLM_CONFIG_FILE=a.toml \"$OLLM\" config show --json --config b.toml"), 5);
  const CommandResult missing = run_shell(cd + "\"$OLLM\" config show --config c.toml");
  EXPECT_EQ(missing.exit_code, 2);
  EXPECT_NE(missing.err.find("c.toml"), std::string::npos) << missing.err;
}

TEST(SettingsByCommand, AutoUnsetsWhatALowerLayerSet) {
  const CommandResult run = run_shell(
      "OLLM_RUNTIME__KV_CACHE_STRATEGY=paged \"$OLLM\" config show --json --kv-cache-strategy "
      "auto");
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const Json shown = Json::parse(run.out)["runtime"]["kv_cache_strategy"];
  EXPECT_TRUE(shown["value"].is_null());
  EXPECT_EQ(shown["origin"], "cli");
}

}  // namespace
}  // namespace ollm::testing
