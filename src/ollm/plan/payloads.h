// The JSON that plans and models are printed as: keys and their order are a contract.
// Schemas: docs/formats/. Leaves to others: the execution plan, settings and reports.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "ollm/plan/details.h"
#include "ollm/plan/resolved_model.h"
#include "ollm/plan/runtime_plan.h"

namespace ollm::plan {

/// The 16 keys of a runtime plan (docs/formats/runtime_plan.schema.json). Text that is not UTF-8
/// (paths) has its bad bytes replaced, here and below.
nlohmann::ordered_json as_dict(const RuntimePlan& plan);
nlohmann::ordered_json details_json(const Details& details);

/// docs/formats/resolved_model.schema.json
nlohmann::ordered_json resolved_model_payload(const ResolvedModel& model);

/// `ollm models info` and each model of `ollm models list` (docs/formats/model_info.schema.json):
/// what was resolved, with the plan's word put over it. `models list` adds `discovery_source`.
nlohmann::ordered_json merged_payload(const RuntimePlan& plan, bool materialized);

}  // namespace ollm::plan
