#include "ollm/plan/payloads.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "ollm/plan/settings_fields.h"

namespace ollm::plan {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kContinuation = 0x80;

// The length of the UTF-8 sequence at the start of a text; 0 where there is none.
std::size_t sequence_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xC0) != kContinuation) return 0;
  if (lead == 0xE0 && byte(1) < 0xA0) return 0;  // overlong
  if (lead == 0xED && byte(1) > 0x9F) return 0;  // surrogates
  if (lead == 0xF0 && byte(1) < 0x90) return 0;  // overlong
  if (lead == 0xF4 && byte(1) > 0x8F) return 0;  // above U+10FFFF
  return length;
}

Json text(const std::string& value) { return json_text(value); }
Json text(const std::optional<std::string>& value) {
  return value ? Json(json_text(*value)) : Json(nullptr);
}
Json text(const std::optional<std::filesystem::path>& value) {
  return value ? Json(json_text(value->string())) : Json(nullptr);
}

template <typename Enum>
Json wire(Enum value) {
  return std::string(to_string(value));
}
template <typename Enum>
Json wire(const std::optional<Enum>& value) {
  return value ? wire(*value) : Json(nullptr);
}
template <typename Enum>
Json wire(const std::vector<Enum>& values) {
  Json out = Json::array();
  for (const Enum value : values) out.push_back(wire(value));
  return out;
}

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

// JSON is UTF-8, paths need not be; the library's dump() would throw.
std::string json_text(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t length = sequence_length(text);
    out += length == 0 ? std::string_view("\uFFFD") : text.substr(0, length);
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out;
}

Json details_json(const Details& details) {
  Json out = Json::object();
  for (const auto& [key, value] : details) out[json_text(key)] = json_text(value);
  return out;
}

Json as_dict(const RuntimePlan& plan) {
  Json out = Json::object();
  out["backend_id"] = text(plan.backend_id);
  out["model_path"] = text(plan.model_path);
  out["support_level"] = wire(plan.support_level);
  out["generic_model_kind"] = wire(plan.generic_model_kind);
  out["supports_disk_cache"] = plan.supports_disk_cache;
  out["supports_cpu_offload"] = plan.supports_cpu_offload;
  out["supports_gpu_offload"] = plan.supports_gpu_offload;
  out["specialization_enabled"] = plan.specialization_enabled;
  out["specialization_applied"] = plan.specialization_applied;
  out["specialization_provider_id"] = text(plan.specialization_provider_id);
  out["specialization_state"] = wire(plan.specialization_state);
  out["specialization_pass_ids"] = wire(plan.specialization_pass_ids);
  out["applied_specialization_pass_ids"] = wire(plan.applied_specialization_pass_ids);
  out["fallback_reason"] = text(plan.fallback_reason);
  out["reason"] = text(plan.reason);
  out["details"] = details_json(plan.details);
  return out;
}

Json resolved_model_payload(const ResolvedModel& model) {
  const CapabilityProfile& capabilities = model.capabilities;
  Json out = Json::object();
  out["model_reference"] = text(model.reference.raw);
  out["normalized_name"] = text(model.normalized_name);
  out["source_kind"] = wire(model.source_kind);
  out["support_level"] = wire(capabilities.support_level);
  out["modalities"] = wire(capabilities.modalities);
  out["requires_processor"] = capabilities.requires_processor;
  out["supports_disk_cache"] = capabilities.supports_disk_cache;
  out["supports_specialization"] = capabilities.supports_specialization;
  out["repo_id"] = text(model.repo_id);
  out["revision"] = text(model.revision);
  out["path"] = text(model.model_path);
  out["native_family"] = wire(model.native_family);
  out["architecture"] = text(model.architecture);
  out["model_type"] = text(model.model_type);
  out["generic_model_kind"] = wire(model.generic_model_kind);
  out["resolution_message"] = text(model.resolution_message);
  return out;
}

Json merged_payload(const RuntimePlan& plan, bool materialized) {
  Json out = resolved_model_payload(plan.resolved_model);
  const Json resolved = out;
  out["support_level"] = wire(plan.support_level);
  out["supports_disk_cache"] = plan.supports_disk_cache;
  out["resolution_message"] = text(plan.reason);
  out["materialized"] = materialized;
  for (const char* key : {"support_level", "modalities", "requires_processor",
                          "supports_disk_cache", "resolution_message"})
    out[fmt::format("resolved_{}", key)] = resolved.at(key);
  out["runtime_plan"] = as_dict(plan);
  return out;
}

Json runtime_config_payload(const RuntimeConfig& config, const io::Environment& environment) {
  Settings settings;
  settings.runtime = config;
  settings.runtime.models_dir = io::absolute_path(config.models_dir, environment).string();
  settings.runtime.cache_dir = io::absolute_path(config.cache_dir, environment).string();
  if (config.adapter_dir)
    settings.runtime.adapter_dir = io::absolute_path(*config.adapter_dir, environment).string();
  if (!config.kv_cache_strategy) settings.runtime.kv_cache_strategy = "auto";
  settings.runtime.kv_cache_window_tokens = config.resolved_window_tokens();
  return section_json(settings, "runtime");
}

Json generation_config_payload(const GenerationConfig& config) {
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

}  // namespace ollm::plan

namespace ollm {

std::string RuntimePlan::as_dict_json() const {
  return plan::as_dict(*this).dump(-1, ' ', false,
                                   nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace ollm
