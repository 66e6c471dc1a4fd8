// The layer of a TOML file, through tomlplusplus.
// Leaves to others: which file (settings.cc). The one place that includes the library.
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "ollm/plan/settings_layers.h"

namespace ollm::plan {
namespace {

std::string place_of(std::string_view file, const toml::source_region& region) {
  return fmt::format("{}:{}", file, region.begin.line);
}

std::string_view kind_of(const toml::node& node) {
  if (node.is_table()) return "a table";
  if (node.is_array()) return "a list of other than texts";
  return "a date or time";
}

// The value of a field; nothing for what no field takes.
std::optional<SettingsValue> value_of(const toml::node& node) {
  if (const auto* value = node.as_boolean()) return SettingsValue(value->get());
  if (const auto* value = node.as_integer()) return SettingsValue(value->get());
  if (const auto* value = node.as_floating_point()) return SettingsValue(value->get());
  if (const auto* value = node.as_string()) return SettingsValue(value->get());
  if (const auto* array = node.as_array()) {
    std::vector<std::string> texts;
    for (const toml::node& item : *array) {
      const auto* text = item.as_string();
      if (text == nullptr) return std::nullopt;
      texts.push_back(text->get());
    }
    return SettingsValue(std::move(texts));
  }
  return std::nullopt;
}

struct Entry {
  toml::source_index line = 0;
  std::string section;
  std::string name;
  const toml::node* node = nullptr;
};

bool is_section(std::string_view name) {
  const auto sections = settings_sections();
  return std::find(sections.begin(), sections.end(), name) != sections.end();
}

// A name on the top level that is no section: the section that was meant, or the table it lacks.
std::string unknown_table(std::string_view name) {
  for (const SettingsField& field : settings_fields())
    if (field.name == name)
      return fmt::format("'{}' belongs into the table [{}]", name, field.section);
  const std::string_view nearest = nearest_name(name, settings_sections());
  return fmt::format("there is no table [{}]{}", name,
                     nearest.empty() ? "; there are [runtime], [generation], [server], [benchmark]"
                                     : fmt::format("; did you mean [{}]?", nearest));
}

}  // namespace

Layer read_toml(std::string_view text, std::string_view file) {
  Layer layer{.origin = Origin::config_file};
  const toml::parse_result parsed = toml::parse(text);
  if (!parsed) {
    layer.problems.push_back({place_of(file, parsed.error().source()),
                              fmt::format("not TOML: {}", parsed.error().description())});
    return layer;
  }
  // Tables keep their keys sorted; people read a file by its lines.
  std::vector<Entry> entries;
  for (const auto& [section, node] : parsed.table()) {
    const toml::table* table = node.as_table();
    if (!is_section(section.str()) || table == nullptr) {
      entries.push_back({section.source().begin.line, std::string(section.str()), "", &node});
      continue;
    }
    for (const auto& [name, value] : *table)
      entries.push_back(
          {name.source().begin.line, std::string(section.str()), std::string(name.str()), &value});
  }
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return a.line < b.line; });
  for (const Entry& entry : entries) {
    std::string place = fmt::format("{}:{}", file, entry.line);
    if (entry.name.empty() && is_section(entry.section)) {
      layer.problems.push_back({std::move(place), fmt::format("{}: expected a table [{}]",
                                                              entry.section, entry.section)});
    } else if (entry.name.empty() && !is_section(entry.section)) {
      layer.problems.push_back({std::move(place), unknown_table(entry.section)});
    } else if (auto value = value_of(*entry.node)) {
      add_named(layer, entry.section, entry.name, *std::move(value), std::move(place));
    } else {
      layer.problems.push_back(
          {std::move(place), fmt::format("{}.{}: a setting cannot be {}", entry.section, entry.name,
                                         kind_of(*entry.node))});
    }
  }
  return layer;
}

}  // namespace ollm::plan
