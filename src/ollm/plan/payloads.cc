#include "ollm/plan/payloads.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "ollm/base/utf8.h"

namespace ollm::plan {
namespace {

using Json = nlohmann::ordered_json;

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

}  // namespace

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

}  // namespace ollm::plan

namespace ollm {

std::string RuntimePlan::as_dict_json() const {
  return plan::as_dict(*this).dump(-1, ' ', false,
                                   nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace ollm
