#include "ollm/settings/payloads.h"

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ollm/base/utf8.h"
#include "ollm/settings/cache_folder.h"
#include "ollm/settings/fields.h"

namespace ollm::settings {
namespace {

using Json = nlohmann::ordered_json;

struct ToJson {
  Json operator()(std::monostate) const { return nullptr; }
  Json operator()(bool value) const { return value; }
  Json operator()(std::int64_t value) const { return value; }
  Json operator()(double value) const { return value; }
  Json operator()(const std::string& value) const { return json_text(value); }
  Json operator()(const std::vector<std::string>& values) const {
    Json out = Json::array();
    for (const std::string& value : values) out.push_back(json_text(value));
    return out;
  }
};

Json value_json(const SettingsValue& value) { return std::visit(ToJson{}, value); }

// Every field of a section by its name, in the order of the table.
Json section_json(const Settings& settings, std::string_view section) {
  Json out = Json::object();
  for (const SettingsField& field : settings_fields())
    if (field.section == section) out[std::string(field.name)] = value_json(field.get(settings));
  return out;
}

}  // namespace

Json runtime_config_payload(const RuntimeConfig& config, const io::Environment& environment) {
  Settings settings;
  settings.runtime = config;
  settings.runtime.models_dir = io::absolute_path(config.models_dir, environment).string();
  if (const auto folder = cache_folder(config, environment); folder.ok())
    settings.runtime.cache_dir = folder->string();
  if (config.adapter_dir)
    settings.runtime.adapter_dir = io::absolute_path(*config.adapter_dir, environment).string();
  if (!config.kv_cache_strategy) settings.runtime.kv_cache_strategy = "auto";
  settings.runtime.kv_cache_window_tokens = config.resolved_window_tokens();
  return section_json(settings, "runtime");
}

Json generation_config_payload(const GenerationSettings& config) {
  Settings settings;
  settings.generation = config;
  return section_json(settings, "generation");
}

Json config_show_payload(const Settings& settings) {
  Json out = Json::object();
  for (const std::string_view section : settings_sections()) out[std::string(section)] = {};
  for (const SettingsField& field : settings_fields()) {
    Json& row = out[std::string(field.section)][std::string(field.name)];
    row["value"] = value_json(field.get(settings));
    row["origin"] = std::string(to_string(settings.origin(field.qualified_name()).origin));
  }
  return out;
}

}  // namespace ollm::settings
