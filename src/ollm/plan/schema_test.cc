// The schemas of docs/formats against goldens and payloads: exactly their keys, in their order.
// A check of the keywords that these schemas use, no general validator.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>

#include "ollm/plan/payloads.h"
#include "ollm/plan/plan_world.h"

namespace ollm::plan {
namespace {

Json read_json(const std::filesystem::path& file) {
  std::ifstream in(file);
  EXPECT_TRUE(in.good()) << file;
  return Json::parse(in, nullptr, false);
}

Json schema(const std::string& name) {
  return read_json(std::filesystem::path("docs/formats") / (name + ".schema.json"));
}

bool has_type(const Json& value, const std::string& type) {
  if (type == "null") return value.is_null();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_boolean();
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  if (type == "array") return value.is_array();
  return type == "object" && value.is_object();
}

// Every way in which a value is not what its schema says; `root` holds the definitions.
class Check {
 public:
  explicit Check(const Json& root) : root_(root) {}

  std::vector<std::string> run(const Json& value) {
    check(root_, value, "$");
    return std::move(problems_);
  }

 private:
  void expect(bool holds, const std::string& where, const std::string& what) {
    if (!holds) problems_.push_back(where + ": " + what);
  }

  void check(const Json& rule, const Json& value, const std::string& where) {
    if (rule.is_boolean()) return;
    if (rule.contains("$ref")) {
      const std::string ref = rule["$ref"];
      if (ref.starts_with("#")) {
        check(root_[Json::json_pointer(ref.substr(1))], value, where);
      } else {
        const Json other = read_json(std::filesystem::path("docs/formats") / ref);
        for (const std::string& problem : Check(other).run(value))
          problems_.push_back(where + problem);
      }
      return;
    }
    if (rule.contains("enum")) {
      const Json& allowed = rule["enum"];
      expect(std::find(allowed.begin(), allowed.end(), value) != allowed.end(), where,
             "not of the list: " + value.dump());
    }
    if (rule.contains("type")) check_type(rule["type"], value, where);
    if (value.is_number()) check_number(rule, value.get<double>(), where);
    if (value.is_string() && rule.contains("pattern")) {
      const std::regex pattern(rule["pattern"].get<std::string>());
      expect(std::regex_search(value.get<std::string>(), pattern), where, "not of its pattern");
    }
    if (value.is_array() && rule.contains("items"))
      for (const Json& item : value) check(rule["items"], item, where + "[]");
    if (value.is_object()) check_object(rule, value, where);
  }

  void check_type(const Json& type, const Json& value, const std::string& where) {
    bool holds = false;
    if (type.is_string()) {
      holds = has_type(value, type);
    } else {
      for (const Json& one : type) holds = holds || has_type(value, one);
    }
    expect(holds, where, "of another type: " + value.dump());
  }

  void check_number(const Json& rule, double value, const std::string& where) {
    if (rule.contains("minimum")) expect(value >= rule["minimum"], where, "below its minimum");
    if (rule.contains("maximum")) expect(value <= rule["maximum"], where, "above its maximum");
    if (rule.contains("exclusiveMinimum"))
      expect(value > rule["exclusiveMinimum"], where, "below its minimum");
  }

  void check_object(const Json& rule, const Json& value, const std::string& where) {
    if (!rule.contains("properties")) {
      if (rule.contains("additionalProperties"))
        for (const auto& [key, item] : value.items())
          check(rule["additionalProperties"], item, where + "." + key);
      return;
    }
    std::vector<std::string> promised, found;
    for (const auto& [key, item] : rule["properties"].items()) promised.push_back(key);
    for (const auto& [key, item] : value.items()) found.push_back(key);
    expect(promised == rule["required"].get<std::vector<std::string>>(), where,
           "a schema whose keys are not all required");
    expect(promised == found, where, "other keys, or in another order: " + value.dump());
    for (const auto& [key, item] : value.items())
      if (rule["properties"].contains(key)) check(rule["properties"][key], item, where + "." + key);
  }

  const Json& root_;
  std::vector<std::string> problems_;
};

void expect_valid(const std::string& name, const Json& value, const std::string& what) {
  const Json root = schema(name);
  for (const std::string& problem : Check(root).run(value))
    ADD_FAILURE() << what << ": " << name << ": " << problem;
}

TEST(Schema, HoldsForEveryGolden) {
  for (const auto& entry : std::filesystem::directory_iterator("tests/fixtures/plans")) {
    if (entry.path().extension() != ".json") continue;
    const Json golden = read_json(entry.path());
    expect_valid("runtime_plan", golden["runtime_plan"], entry.path().string());
    expect_valid("resolved_model", golden["resolved_model"], entry.path().string());
  }
}

TEST(Schema, HoldsForModels) {
  World world;
  world.llama("models/mine");
  for (const char* reference : {"mine", "llama3-1B-chat", "org/name", "nothing"}) {
    const auto planned = world.plan(reference);
    ASSERT_TRUE(planned.ok());
    expect_valid("model_info",
                 merged_payload(planned->selection.plan, planned->resolution.materialized),
                 reference);
  }
}

TEST(Schema, HoldsForSettings) {
  const Environment environment{{}, "/somewhere"};
  Settings settings;
  expect_valid("runtime_config", runtime_config_payload(settings.runtime, environment), "defaults");
  expect_valid("generation_config", generation_config_payload(settings.generation), "defaults");
  expect_valid("config_show", config_show_payload(settings), "defaults");
  settings.runtime.memory = 1;
  settings.runtime.backend = "native-generic";
  settings.runtime.kv_cache_strategy = "paged";
  settings.generation.top_p = 0.5;
  settings.generation.stop = {"x"};
  expect_valid("runtime_config", runtime_config_payload(settings.runtime, environment), "set");
  expect_valid("generation_config", generation_config_payload(settings.generation), "set");
}

TEST(Schema, FindsWhatIsWrong) {
  Json golden = plan_golden("applied")["runtime_plan"];
  const Json root = schema("runtime_plan");
  EXPECT_TRUE(Check(root).run(golden).empty());
  Json wrong = golden;
  wrong["support_level"] = "best";
  EXPECT_FALSE(Check(root).run(wrong).empty());
  wrong = golden;
  wrong["details"]["pass_count"] = 1;
  EXPECT_FALSE(Check(root).run(wrong).empty());
  wrong = golden;
  wrong.erase("reason");
  EXPECT_FALSE(Check(root).run(wrong).empty());
  wrong = golden;
  wrong["more"] = 1;
  EXPECT_FALSE(Check(root).run(wrong).empty());
}

}  // namespace
}  // namespace ollm::plan
