#include "ollm/plan/plans.h"

#include <utility>

#include "ollm/base/value_document.h"
#include "ollm/plan/passes.h"
#include "ollm/plan/payloads.h"
#include "ollm/plan/plan_draft.h"

namespace ollm {

using plan::PlanDraft;

RuntimePlan::RuntimePlan() : RuntimePlan(PlanDraft()) {}

RuntimePlan::RuntimePlan(PlanDraft draft)
    : draft_(std::make_shared<const PlanDraft>(std::move(draft))) {}

const ResolvedModel& RuntimePlan::resolved_model() const { return draft_->resolved_model; }
const std::optional<std::string>& RuntimePlan::backend_id() const { return draft_->backend_id; }
bool RuntimePlan::is_executable() const { return draft_->is_executable(); }
const std::optional<std::filesystem::path>& RuntimePlan::model_path() const {
  return draft_->model_path;
}
SupportLevel RuntimePlan::support_level() const { return draft_->support_level; }
std::optional<GenericModelKind> RuntimePlan::generic_model_kind() const {
  return draft_->generic_model_kind;
}
bool RuntimePlan::supports_disk_cache() const { return draft_->supports_disk_cache; }
bool RuntimePlan::supports_cpu_offload() const { return draft_->supports_cpu_offload; }
bool RuntimePlan::supports_gpu_offload() const { return draft_->supports_gpu_offload; }
bool RuntimePlan::specialization_enabled() const { return draft_->specialization_enabled; }
bool RuntimePlan::specialization_applied() const { return draft_->specialization_applied; }
const std::optional<std::string>& RuntimePlan::specialization_provider_id() const {
  return draft_->specialization_provider_id;
}
SpecializationState RuntimePlan::specialization_state() const {
  return draft_->specialization_state;
}
const std::vector<SpecializationPassId>& RuntimePlan::specialization_pass_ids() const {
  return draft_->specialization_pass_ids;
}
const std::vector<SpecializationPassId>& RuntimePlan::applied_specialization_pass_ids() const {
  return draft_->applied_specialization_pass_ids;
}
const std::optional<std::string>& RuntimePlan::fallback_reason() const {
  return draft_->fallback_reason;
}
const std::string& RuntimePlan::reason() const { return draft_->reason; }
const Details& RuntimePlan::details() const { return draft_->details; }
const std::optional<SpecializationFailure>& RuntimePlan::failure() const { return draft_->failure; }

std::optional<PlannedSpecialization> RuntimePlan::planned_specialization() const {
  if (!draft_->specialization_enabled) return std::nullopt;
  PlannedSpecialization out;
  out.provider_id = draft_->specialization_provider_id.value_or("");
  out.pass_ids = draft_->specialization_pass_ids;
  out.traits = plan::traits_of(out.pass_ids);
  out.details = plan::pass_details(*draft_);
  for (const SpecializationPassId id : out.pass_ids) {
    const plan::PassKind& kind = plan::find_pass(id);
    SpecializationPass& pass = out.passes.emplace_back();
    pass.pass_id = id;
    pass.summary = kind.summary;
    pass.traits = kind.traits;
    if (id != SpecializationPassId::mlp_chunking) continue;
    for (const auto& [key, value] : out.details)
      if (key.starts_with("mlp_chunking_")) pass.details.set(key, value);
  }
  return out;
}

std::optional<AppliedSpecialization> RuntimePlan::applied_specialization() const {
  if (draft_->specialization_state != SpecializationState::applied) return std::nullopt;
  AppliedSpecialization out;
  out.provider_id = draft_->specialization_provider_id.value_or("");
  out.planned_pass_ids = draft_->specialization_pass_ids;
  out.applied_pass_ids = draft_->applied_specialization_pass_ids;
  out.traits = plan::traits_of(out.applied_pass_ids);
  for (const char* key : {"offload_cpu_applied_layers", "offload_cpu_applied_indices",
                          "planned_pass_count", "applied_pass_count"})
    if (const std::string* value = draft_->details.find(key)) out.details.set(key, *value);
  return out;
}

Value RuntimePlan::as_dict() const { return make_value(plan::as_dict(*draft_)); }
std::string RuntimePlan::as_dict_json() const { return as_dict().json(); }

bool operator==(const RuntimePlan& a, const RuntimePlan& b) { return *a.draft_ == *b.draft_; }

Value ResolvedModel::as_dict() const { return make_value(plan::resolved_model_payload(*this)); }
Value CapabilityProfile::as_dict() const { return make_value(plan::capabilities_json(*this)); }
Value SpecializationPass::as_dict() const { return make_value(plan::pass_json(*this)); }
Value PlannedSpecialization::as_dict() const { return make_value(plan::planned_json(*this)); }
Value AppliedSpecialization::as_dict() const { return make_value(plan::applied_json(*this)); }
Value SpecializationFailure::as_dict() const { return make_value(plan::failure_json(*this)); }
Value ExecutionPlan::as_dict() const { return make_value(plan::execution_plan_json(*this)); }

}  // namespace ollm
