// For tests of every folder: holds JSON to the schemas of docs/formats: exactly their keys, in
// their order. A check of the keywords that these schemas use, no general validator.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <string>
#include <utility>
#include <vector>

namespace ollm::testing {

using SchemaJson = nlohmann::ordered_json;

inline SchemaJson read_json(const std::filesystem::path& file) {
  std::ifstream in(file);
  EXPECT_TRUE(in.good()) << file;
  return SchemaJson::parse(in, nullptr, false);
}

inline SchemaJson schema(const std::string& name) {
  return read_json(std::filesystem::path("docs/formats") / (name + ".schema.json"));
}

inline bool has_type(const SchemaJson& value, const std::string& type) {
  if (type == "null") return value.is_null();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_boolean();
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  if (type == "array") return value.is_array();
  return type == "object" && value.is_object();
}

// Every way in which a value is not what its schema says; `root` holds the definitions.
class SchemaCheck {
 public:
  explicit SchemaCheck(const SchemaJson& root) : root_(root) {}

  std::vector<std::string> run(const SchemaJson& value) {
    check(root_, value, "$");
    return std::move(problems_);
  }

 private:
  void expect(bool holds, const std::string& where, const std::string& what) {
    if (!holds) problems_.push_back(where + ": " + what);
  }

  void check(const SchemaJson& rule, const SchemaJson& value, const std::string& where) {
    if (rule.is_boolean()) return;
    if (rule.contains("$ref")) {
      const std::string ref = rule["$ref"];
      if (ref.starts_with("#")) {
        check(root_[SchemaJson::json_pointer(ref.substr(1))], value, where);
      } else {
        const SchemaJson other = read_json(std::filesystem::path("docs/formats") / ref);
        for (const std::string& problem : SchemaCheck(other).run(value))
          problems_.push_back(where + problem);
      }
      return;
    }
    if (rule.contains("anyOf")) {
      const auto holds = [&](const SchemaJson& one) {
        return SchemaCheck(one).run(value).empty();  // each stands alone: a $ref or a type
      };
      expect(std::any_of(rule["anyOf"].begin(), rule["anyOf"].end(), holds), where,
             "none of its forms: " + value.dump());
    }
    if (rule.contains("enum")) {
      const SchemaJson& allowed = rule["enum"];
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
      for (const SchemaJson& item : value) check(rule["items"], item, where + "[]");
    if (value.is_object()) check_object(rule, value, where);
  }

  void check_type(const SchemaJson& type, const SchemaJson& value, const std::string& where) {
    bool holds = false;
    if (type.is_string()) {
      holds = has_type(value, type);
    } else {
      for (const SchemaJson& one : type) holds = holds || has_type(value, one);
    }
    expect(holds, where, "of another type: " + value.dump());
  }

  void check_number(const SchemaJson& rule, double value, const std::string& where) {
    if (rule.contains("minimum")) expect(value >= rule["minimum"], where, "below its minimum");
    if (rule.contains("maximum")) expect(value <= rule["maximum"], where, "above its maximum");
    if (rule.contains("exclusiveMinimum"))
      expect(value > rule["exclusiveMinimum"], where, "below its minimum");
  }

  void check_object(const SchemaJson& rule, const SchemaJson& value, const std::string& where) {
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

  const SchemaJson& root_;
  std::vector<std::string> problems_;
};

inline void expect_valid(const std::string& name, const SchemaJson& value,
                         const std::string& what) {
  const SchemaJson root = schema(name);
  for (const std::string& problem : SchemaCheck(root).run(value))
    ADD_FAILURE() << what << ": " << name << ": " << problem;
}

}  // namespace ollm::testing
