#include "ollm/plan/payloads.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "ollm/base/utf8.h"
#include "ollm/base/value_document.h"
#include "ollm/plan/effective_config.h"

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

Json traits_json(const PassTraits& traits) {
  return {{"supports_disk_cache", traits.supports_disk_cache},
          {"supports_cpu_offload", traits.supports_cpu_offload},
          {"supports_gpu_offload", traits.supports_gpu_offload}};
}

Json memory_json(const MemoryPlan& memory) {
  Json ledger = Json::array();
  for (const LedgerEntry& line : memory.ledger) {
    ledger.push_back(
        {{"owner", text(line.owner)}, {"phase", text(line.phase)}, {"bytes", line.bytes}});
  }
  return {{"budget_bytes", memory.budget_bytes},
          {"minimum_bytes", memory.minimum_bytes},
          {"peak_bytes", memory.peak_bytes},
          {"ledger", std::move(ledger)}};
}

Json weights_json(const WeightsPlan& weights) {
  return {{"bytes", weights.bytes},
          {"pinned_bytes", weights.pinned_bytes},
          {"streamed_bytes", weights.streamed_bytes},
          {"segment_bytes", weights.segment_bytes},
          {"ring_slots", weights.ring_slots},
          {"access", text(weights.access)},
          {"reads", text(weights.reads)}};
}

Json experts_json(const ExpertsPlan& experts) {
  return {{"experts", experts.experts},
          {"kept", experts.kept},
          {"slots", experts.slots},
          {"per_token", experts.per_token},
          {"bytes", experts.bytes},
          {"expert_bytes", experts.expert_bytes},
          {"read_bytes_per_token", experts.read_bytes_per_token},
          {"hit_share", experts.hit_share},
          {"because", text(experts.because)}};
}

Json kv_json(const KvPlan& kv) {
  Json groups = Json::array();
  for (const KvGroup& group : kv.groups) {
    groups.push_back({{"layers", group.layers},
                      {"bytes_per_token", group.bytes_per_token},
                      {"window", group.window == 0 ? Json(nullptr) : Json(group.window)}});
  }
  return {{"strategy", text(kv.strategy)},
          {"lifecycle", text(kv.lifecycle)},
          {"context_tokens", kv.context_tokens},
          {"sequences", kv.sequences},
          {"block_tokens", kv.block_tokens},
          {"block_bytes", kv.block_bytes},
          {"blocks", kv.blocks},
          {"bytes", kv.bytes},
          {"frames", kv.frames},
          {"memory_bytes", kv.memory_bytes},
          {"disk_bytes", kv.disk_bytes},
          {"bytes_per_token", kv.bytes_per_token},
          {"groups", std::move(groups)},
          {"read_bytes_per_token", kv.read_bytes_per_token},
          {"prefill_read_bytes", kv.prefill_read_bytes},
          {"written_bytes", kv.written_bytes},
          {"disk_free_bytes", kv.disk_free_bytes ? Json(*kv.disk_free_bytes) : Json(nullptr)},
          {"folder", text(kv.folder)}};
}

Json estimate_json(const Estimate& estimate) {
  return {{"bytes_per_sweep", estimate.bytes_per_sweep},
          {"memory_bytes_per_sweep", estimate.memory_bytes_per_sweep},
          {"seconds_per_sweep", estimate.seconds_per_sweep},
          {"bound_by", estimate.bound_by},
          {"prefill_tokens_per_second", estimate.prefill_tokens_per_second},
          {"decode_tokens_per_second", estimate.decode_tokens_per_second},
          {"time_to_first_token_s", estimate.time_to_first_token_s},
          {"total_s", estimate.total_s},
          {"load_s", estimate.load_s},
          {"flops_per_token", estimate.flops_per_token},
          {"rows_that_fill_a_sweep", estimate.rows_that_fill},
          {"requests", estimate.requests},
          {"job_tokens_per_second", estimate.job_tokens_per_second},
          {"seconds_per_request", estimate.seconds_per_request},
          {"request_s", estimate.request_s},
          {"job_bound_by", estimate.job_bound_by}};
}

Json lines_json(const LinesPlan& lines) {
  Json choices = Json::array();
  for (const LinesChoice& choice : lines.choices) {
    choices.push_back({{"lines", choice.lines},
                       {"decode_tokens_per_second", choice.decode_tokens_per_second},
                       {"seconds_per_request", choice.seconds_per_request},
                       {"bound_by", choice.bound_by},
                       {"pinned_bytes", choice.pinned_bytes},
                       {"kv_frames_bytes", choice.kv_frames_bytes},
                       {"kv_bytes", choice.kv_bytes}});
  }
  return {{"pay", lines.pay}, {"bound_by", lines.bound_by}, {"choices", std::move(choices)}};
}

}  // namespace

Json details_json(const Details& details) {
  Json out = Json::object();
  for (const auto& [key, value] : details) out[json_text(key)] = json_text(value);
  return out;
}

Json as_dict(const PlanDraft& plan) {
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
  Json out = resolved_model_payload(plan.resolved_model());
  const Json resolved = out;
  out["support_level"] = wire(plan.support_level());
  out["supports_disk_cache"] = plan.supports_disk_cache();
  out["resolution_message"] = text(plan.reason());
  out["materialized"] = materialized;
  for (const char* key : {"support_level", "modalities", "requires_processor",
                          "supports_disk_cache", "resolution_message"})
    out[fmt::format("resolved_{}", key)] = resolved.at(key);
  out["runtime_plan"] = json_of(plan.as_dict());
  return out;
}

Json capabilities_json(const CapabilityProfile& capabilities) {
  return {{"support_level", wire(capabilities.support_level)},
          {"modalities", wire(capabilities.modalities)},
          {"requires_processor", capabilities.requires_processor},
          {"supports_disk_cache", capabilities.supports_disk_cache},
          {"supports_local_materialization", capabilities.supports_local_materialization},
          {"supports_specialization", capabilities.supports_specialization},
          {"details", details_json(capabilities.details)}};
}

Json pass_json(const SpecializationPass& pass) {
  return {{"pass_id", wire(pass.pass_id)},
          {"summary", text(pass.summary)},
          {"traits", traits_json(pass.traits)},
          {"details", details_json(pass.details)}};
}

Json planned_json(const PlannedSpecialization& planned) {
  Json passes = Json::array();
  for (const SpecializationPass& pass : planned.passes) passes.push_back(pass_json(pass));
  return {{"provider_id", text(planned.provider_id)},
          {"pass_ids", wire(planned.pass_ids)},
          {"passes", std::move(passes)},
          {"traits", traits_json(planned.traits)},
          {"details", details_json(planned.details)}};
}

Json applied_json(const AppliedSpecialization& applied) {
  return {{"provider_id", text(applied.provider_id)},
          {"planned_pass_ids", wire(applied.planned_pass_ids)},
          {"applied_pass_ids", wire(applied.applied_pass_ids)},
          {"skipped_pass_ids", Json::array()},
          {"traits", traits_json(applied.traits)},
          {"details", details_json(applied.details)}};
}

Json failure_json(const SpecializationFailure& failure) {
  return {{"error_type", wire(failure.type)},
          {"provider_id", text(failure.provider_id)},
          {"planned_pass_ids", wire(failure.planned_pass_ids)},
          {"applied_pass_ids", wire(failure.applied_pass_ids)},
          {"failed_pass_id", wire(failure.failed_pass_id)},
          {"reason", text(failure.reason)},
          {"error",
           {{"kind", std::string(to_string(failure.error.kind))},
            {"message", text(failure.error.message)}}}};
}

Json execution_plan_json(const ExecutionPlan& plan) {
  Json decisions = Json::array();
  for (const Decision& decision : plan.decisions) {
    decisions.push_back({{"what", text(decision.what)},
                         {"chosen", text(decision.chosen)},
                         {"because", text(decision.because)}});
  }
  return {{"fits", plan.fits},
          {"model", effective_config_json(plan.model)},
          {"memory", memory_json(plan.memory)},
          {"weights", weights_json(plan.weights)},
          {"experts", plan.experts ? experts_json(*plan.experts) : Json(nullptr)},
          {"kv", kv_json(plan.kv)},
          {"compute", text(plan.compute)},
          {"isa", text(plan.isa)},
          {"threads", plan.threads},
          {"prefill_chunk", plan.prefill_chunk},
          {"feed_forward_rows", plan.feed_forward_rows},
          {"estimate", estimate_json(plan.estimate)},
          {"lines", lines_json(plan.lines)},
          {"decisions", std::move(decisions)}};
}

}  // namespace ollm::plan
