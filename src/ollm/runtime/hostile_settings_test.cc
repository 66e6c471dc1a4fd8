// Settings that no layer checked, as a program fills them in: whatever stands in a field, a call of
// ollm.h gives an answer or an error, and its JSON is JSON.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ollm/doctor.h"
#include "ollm/load_settings.h"
#include "ollm/ollm.h"

namespace ollm {
namespace {

using settings::FieldType;
using settings::SettingsValue;
using Json = nlohmann::ordered_json;
using std::string_literals::operator""s;

const std::vector<std::string>& hostile_texts() {
  static const std::vector<std::string> texts = {"",
                                                 " "s,
                                                 "\0"s,
                                                 "a\0b"s,
                                                 "\xFF\xFE"s,
                                                 "\xC3"s,
                                                 "\033[2J\u009B"s,
                                                 "a\nb"s,
                                                 "%s%n{}{0}"s,
                                                 "nonsense"s,
                                                 "cuda:"s,
                                                 "auto"s,
                                                 "../../.."s,
                                                 "/"s,
                                                 "~"s,
                                                 std::string(1 << 20, 'x')};
  return texts;
}

std::vector<SettingsValue> hostile_values(const SettingsField& field) {
  std::vector<SettingsValue> values;
  if (field.nullable) values.emplace_back(std::monostate{});
  switch (field.type) {
    case FieldType::boolean:
      return {true, false};
    case FieldType::integer:
    case FieldType::bytes:
    case FieldType::tokens:
      for (const std::int64_t value : {INT64_MIN, std::int64_t{-1}, std::int64_t{0},
                                       std::int64_t{1}, std::int64_t{INT32_MAX}, INT64_MAX})
        values.emplace_back(value);
      return values;
    case FieldType::number: {
      using Limits = std::numeric_limits<double>;
      for (const double value :
           {Limits::quiet_NaN(), Limits::infinity(), -Limits::infinity(), Limits::max(),
            Limits::lowest(), Limits::denorm_min(), -0.0, -1.0, 1e6})
        values.emplace_back(value);
      return values;
    }
    case FieldType::text:
    case FieldType::path:
    case FieldType::choice:
      for (const std::string& text : hostile_texts()) values.emplace_back(text);
      return values;
    case FieldType::texts:
      values.emplace_back(std::vector<std::string>(1000, "x"));
      for (const std::string& text : hostile_texts())
        values.emplace_back(std::vector<std::string>{text, "END"});
      return values;
  }
  return values;
}

void expect_json(const std::string& text) {
  EXPECT_FALSE(Json::parse(text, nullptr, false).is_discarded()) << text.substr(0, 200);
}

class HostileSettings : public ::testing::TestWithParam<const SettingsField*> {};

TEST_P(HostileSettings, GetAnAnswerOrAnError) {
  const SettingsField& field = *GetParam();
  for (const SettingsValue& value : hostile_values(field)) {
    Settings settings;
    settings.runtime.model_reference = "examples/models/clerk";
    field.set(settings, value);
    EXPECT_NO_THROW({
      expect_json(settings_as_dict(settings).json());
      const Result<void> checked = check_settings(settings);
      const Result<Plan> plan = make_plan(settings, {.context_tokens = 64});
      // Of what the check refuses there is no plan; what it takes may still be none of this build.
      if (!checked.ok()) {
        EXPECT_EQ(checked.error().kind, ErrorKind::invalid_argument);
        EXPECT_NE(checked.error().message.find(field.name), std::string::npos)
            << checked.error().message.substr(0, 200);
        EXPECT_LT(checked.error().message.size(), 1000u);
        EXPECT_FALSE(plan.ok());
      }
      if (plan.ok()) {
        expect_json(plan->json());
        expect_json(plan->runtime_plan().as_dict_json());
        if (plan->execution_plan()) expect_json(plan->execution_plan()->as_dict().json());
        EXPECT_FALSE(plan->explain().empty());
        static_cast<void>(plan->summary());
        static_cast<void>(plan->check());
      } else {
        EXPECT_FALSE(plan.error().message.empty());
      }
    });
  }
}

TEST_P(HostileSettings, TakeNoValueOfAnotherType) {
  const SettingsField& field = *GetParam();
  const SettingsValue before = field.get(Settings{});
  for (const SettingsValue& value :
       {SettingsValue(true), SettingsValue(std::int64_t{1}), SettingsValue(0.5),
        SettingsValue("text"s), SettingsValue(std::vector<std::string>{"a"})}) {
    Settings settings;
    EXPECT_NO_THROW(field.set(settings, value));
    const SettingsValue after = field.get(settings);
    EXPECT_TRUE(after == before || after == value);
    static_cast<void>(settings::parse_value(field, value, false));
    static_cast<void>(settings::parse_value(field, value, true));
  }
}

TEST_P(HostileSettings, ComeFromNoLayer) {
  const SettingsField& field = *GetParam();
  for (const SettingsValue& value : hostile_values(field)) {
    SettingsSources sources;
    sources.environment.working_directory = "/";
    sources.overrides.push_back({field.qualified_name(), value, "\xFF\033"});
    if (const auto* text = std::get_if<std::string>(&value))
      sources.environment.variables[field.environment_name()] = *text;
    EXPECT_NO_THROW({
      const Result<Settings> settings = load_settings(sources);
      if (settings.ok()) {
        EXPECT_TRUE(check_settings(*settings).ok());
        expect_json(settings_as_dict(*settings).json());
      } else {
        EXPECT_EQ(settings.error().kind, ErrorKind::invalid_argument);
        expect_json(run_doctor(settings).json());
      }
    });
  }
}

std::vector<const SettingsField*> all_fields() {
  std::vector<const SettingsField*> fields;
  for (const SettingsField& field : settings_fields()) fields.push_back(&field);
  return fields;
}

INSTANTIATE_TEST_SUITE_P(Fields, HostileSettings, ::testing::ValuesIn(all_fields()),
                         [](const auto& field) { return std::string(field.param->name); });

TEST(HostileNames, OfOverridesAreProblems) {
  for (const std::string& name : {""s, "."s, "runtime"s, "runtime."s, ".device"s, "\xFF.\0"s,
                                  std::string(1 << 20, '.'), "runtime.device.more"s}) {
    SettingsSources sources;
    sources.environment.working_directory = "/";
    sources.overrides.push_back({name, "x"s, ""});
    EXPECT_NO_THROW({
      const Result<Settings> settings = load_settings(sources);
      ASSERT_FALSE(settings.ok());
      EXPECT_EQ(settings.error().kind, ErrorKind::invalid_argument);
    });
  }
}

TEST(HostileNames, OfVariablesAreProblemsOrNothing) {
  SettingsSources sources;
  sources.environment.working_directory = "";
  sources.environment.variables = {{"OLLM_", "x"},
                                   {"OLLM___", "x"},
                                   {"OLLM_RUNTIME__", "x"},
                                   {"OLLM_RUNTIME", std::string(1 << 16, '[')},
                                   {"OLLM_GENERATION", "{\"stop\": [\"\\ud800\", \"\\u0000\"]}"},
                                   {"ollm_runtime__memory", "1"},
                                   {"OLLM_RUNTIME__MEMORY", "2"},
                                   {"OLLM_RUNTIME__MODELS_DIR", std::string(1 << 20, '/')},
                                   {std::string(1 << 16, 'O'), "x"},
                                   {"OLLM_\xFF\033", "x"}};
  EXPECT_NO_THROW({
    const Result<Settings> settings = load_settings(sources);
    ASSERT_FALSE(settings.ok());
    EXPECT_EQ(settings.error().kind, ErrorKind::invalid_argument);
    EXPECT_FALSE(settings::unknown_variables(sources.environment).empty());
  });
}

TEST(HostileReports, AreJson) {
  Report report;
  report.bound_by = "\xFF\0"s;
  report.total_s = std::numeric_limits<double>::quiet_NaN();
  EXPECT_NO_THROW(expect_json(report.as_dict().json()));
  DoctorReport doctor;
  doctor.checks.resize(1);
  doctor.checks[0].name = doctor.checks[0].message = "\xFF";
  EXPECT_NO_THROW(expect_json(doctor.json()));
  ModelInfo info;
  info.discovery_source = "\xFF";
  info.refusal = fail(ErrorKind::io, "\xFF");
  EXPECT_NO_THROW(expect_json(info.json()));
  EXPECT_NO_THROW(expect_json(models_json({info, info})));
  EXPECT_NO_THROW(expect_json(info.runtime_plan.as_dict_json()));
}

}  // namespace
}  // namespace ollm
