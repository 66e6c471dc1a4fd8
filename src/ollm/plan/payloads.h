// The JSON that plans and models are printed as: keys and their order are a contract.
// Schemas: docs/formats/. Leaves to others: settings and reports.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "ollm/plan/plan_draft.h"
#include "ollm/plan/resolved_model.h"

namespace ollm::plan {

/// The 16 keys of a runtime plan (docs/formats/runtime_plan.schema.json). Text that is not UTF-8
/// (paths) has its bad bytes replaced, here and below.
nlohmann::ordered_json as_dict(const PlanDraft& plan);
nlohmann::ordered_json details_json(const Details& details);

/// Each as its `as_dict` says (resolved_model.h, plans.h).
///@{
nlohmann::ordered_json capabilities_json(const CapabilityProfile& capabilities);
nlohmann::ordered_json pass_json(const SpecializationPass& pass);
nlohmann::ordered_json planned_json(const PlannedSpecialization& planned);
nlohmann::ordered_json applied_json(const AppliedSpecialization& applied);
nlohmann::ordered_json failure_json(const SpecializationFailure& failure);
/// docs/formats/execution_plan.schema.json
nlohmann::ordered_json execution_plan_json(const ExecutionPlan& plan);
///@}

/// docs/formats/resolved_model.schema.json
nlohmann::ordered_json resolved_model_payload(const ResolvedModel& model);

/// `ollm models info` and each model of `ollm models list` (docs/formats/model_info.schema.json):
/// what was resolved, with the plan's word put over it. `models list` adds `discovery_source`.
nlohmann::ordered_json merged_payload(const RuntimePlan& plan, bool materialized);

}  // namespace ollm::plan
