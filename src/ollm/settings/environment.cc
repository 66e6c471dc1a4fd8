// The layer of environment variables. Leaves to others: the other layers (settings.cc).
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "ollm/base/json_reader.h"
#include "ollm/base/text_form.h"
#include "ollm/settings/layers.h"

namespace ollm::settings {
namespace {

constexpr std::string_view kPrefix = "ollm_";

std::optional<SettingsValue> value_of(const Json& json) {
  if (json.is_null()) return SettingsValue(std::monostate{});
  if (json.is_boolean()) return SettingsValue(json.get<bool>());
  if (json.is_number_unsigned() && json.get<std::uint64_t>() > INT64_MAX)
    return SettingsValue(json.get<double>());
  if (json.is_number_integer()) return SettingsValue(json.get<std::int64_t>());
  if (json.is_number_float()) return SettingsValue(json.get<double>());
  if (json.is_string()) return SettingsValue(json.get<std::string>());
  if (!json.is_array()) return std::nullopt;
  std::vector<std::string> texts;
  for (const Json& item : json) {
    if (!item.is_string()) return std::nullopt;
    texts.push_back(item.get<std::string>());
  }
  return SettingsValue(std::move(texts));
}

// OLLM_RUNTIME='{"device": "cpu"}'
void read_section(Layer& layer, std::string_view section, const std::string& variable,
                  std::string_view text) {
  auto parsed = parse_json(text, variable);
  if (!parsed.ok()) {
    layer.problems.push_back({variable, parsed.error().message});
    return;
  }
  if (!parsed->is_object()) {
    layer.problems.push_back({variable, "expected a JSON object of fields"});
    return;
  }
  for (const auto& [name, json] : parsed->items()) {
    if (auto value = value_of(json)) {
      add_named(layer, section, name, *std::move(value), variable);
    } else {
      layer.problems.push_back(
          {variable, fmt::format("{}.{}: a setting cannot be {}", section, name, describe(json))});
    }
  }
}

// A list may be written as JSON, as its texts may hold anything; else it is one text.
SettingsValue variable_value(const SettingsField* field, std::string_view text) {
  if (field != nullptr && field->type == FieldType::texts && text.starts_with('[')) {
    const auto parsed = parse_json(text, "list");
    if (parsed.ok())
      if (auto value = value_of(*parsed)) return *std::move(value);
  }
  return std::string(text);
}

// Names that are read elsewhere than here, with who reads them.
constexpr std::string_view kReadElsewhere[] = {
    "OLLM_CONFIG_FILE",   // settings.cc
    "OLLM_NOW",           // runtime/text.cc: the clock of templates
    "OLLM_API_KEY",       // of the server, which is not built yet
    "OLLM_TEST_DATA",     // the project's tests and scripts, from here on
    "OLLM_BINARY",        //
    "OLLM_FUZZ_SECONDS",  //
    "OLLM_COMPARE_TEXTS", "OLLM_CCACHE", "OLLM_PYTHON", "OLLM_REQUIRE_TEST_DATA",
};

// Every name that means something, for "did you mean".
std::vector<std::string> known_variables() {
  std::vector<std::string> names(std::begin(kReadElsewhere), std::end(kReadElsewhere));
  for (const EnvironmentAlias& alias : environment_aliases()) names.emplace_back(alias.variable);
  for (const std::string_view section : settings_sections())
    names.push_back(upper(fmt::format("{}{}", kPrefix, section)));
  for (const SettingsField& field : settings_fields()) names.push_back(field.environment_name());
  return names;
}

struct Variable {
  std::string name;  // as it is spelt
  std::string value;
};

// OLLM_MEMORY for OLLM_RUNTIME__MEMORY: the field alone is what people write.
std::string field_without_section(std::string_view rest) {
  for (const SettingsField& field : settings_fields())
    if (field.name == rest) return field.environment_name();
  return "";
}

}  // namespace

std::vector<std::string> unknown_variables(const io::Environment& environment) {
  const std::vector<std::string> known = known_variables();
  const std::vector<std::string_view> views(known.begin(), known.end());
  std::vector<std::string> out;
  for (const auto& [name, value] : environment.variables) {
    const std::string key = lower(name);
    if (!key.starts_with(kPrefix)) continue;
    const std::string_view rest = std::string_view(key).substr(kPrefix.size());
    const auto sections = settings_sections();
    const auto is_section = [&](std::string_view text) {
      return std::find(sections.begin(), sections.end(), text) != sections.end();
    };
    // Fields of a section are read, and an unknown one is an error there. Elsewhere names count as
    // they are spelt, as getenv has it.
    if (is_section(rest.substr(0, rest.find("__")))) continue;
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    const auto same = std::find_if(known.begin(), known.end(),
                                   [&](const std::string& other) { return lower(other) == key; });
    std::string meant = same != known.end() ? *same : field_without_section(rest);
    if (meant.empty()) meant = nearest_name(name, views);
    out.push_back(fmt::format("{}: nothing reads this variable{}", name,
                              meant.empty() ? "" : fmt::format("; did you mean {}?", meant)));
  }
  return out;
}

Layer read_environment(const io::Environment& environment) {
  Layer layer{.origin = Origin::env, .from_text = true};
  // By name in lower case: names are taken in any case, and one given twice must not contradict.
  std::map<std::string, Variable, std::less<>> variables;
  for (const auto& [name, value] : environment.variables) {
    std::string key = lower(name);
    if (!key.starts_with(kPrefix)) continue;
    for (const EnvironmentAlias& alias : environment_aliases())
      if (name == alias.variable) key = lower(find_field(alias.field)->environment_name());
    const auto [place, inserted] = variables.try_emplace(std::move(key), Variable{name, value});
    if (!inserted && place->second.value != value) {
      layer.problems.push_back(
          {name,
           fmt::format("says other than {}, which names the same setting", place->second.name)});
    }
  }
  for (const std::string_view section : settings_sections()) {
    const auto whole = variables.find(fmt::format("{}{}", kPrefix, section));
    if (whole != variables.end())
      read_section(layer, section, whole->second.name, whole->second.value);
  }
  for (const auto& [key, variable] : variables) {
    const std::string_view rest = std::string_view(key).substr(kPrefix.size());
    const std::size_t mark = rest.find("__");
    if (mark == std::string_view::npos) continue;
    const std::string_view section = rest.substr(0, mark);
    const std::string_view name = rest.substr(mark + 2);
    const auto sections = settings_sections();
    if (std::find(sections.begin(), sections.end(), section) == sections.end()) {
      // Other programs may have variables of this form; a slip of the hand is not one of them.
      const std::string_view nearest = nearest_name(section, sections);
      if (!nearest.empty()) {
        layer.problems.push_back(
            {variable.name,
             fmt::format("there is no section '{}'; did you mean {}?", section, nearest)});
      }
      continue;
    }
    const SettingsField* field = find_field(fmt::format("{}.{}", section, name));
    add_named(layer, section, name, variable_value(field, variable.value), variable.name);
  }
  return layer;
}

}  // namespace ollm::settings
