// The JSON that plans, models and settings are printed as: keys and their order are a contract.
// Schemas: docs/formats/. Leaves to others: the execution plan and reports.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "ollm/io/environment.h"
#include "ollm/plan/details.h"
#include "ollm/plan/resolved_model.h"
#include "ollm/plan/runtime_plan.h"
#include "ollm/plan/settings.h"

namespace ollm::plan {

/// The 16 keys of a runtime plan (docs/formats/runtime_plan.schema.json). Text that is not UTF-8
/// (paths) has its bad bytes replaced, here and below.
nlohmann::ordered_json as_dict(const RuntimePlan& plan);

/// A text as JSON takes it: bytes that are not UTF-8 are replaced.
std::string json_text(std::string_view text);
nlohmann::ordered_json details_json(const Details& details);

/// docs/formats/resolved_model.schema.json
nlohmann::ordered_json resolved_model_payload(const ResolvedModel& model);

/// `ollm models info` and each model of `ollm models list` (docs/formats/model_info.schema.json):
/// what was resolved, with the plan's word put over it. `models list` adds `discovery_source`.
nlohmann::ordered_json merged_payload(const RuntimePlan& plan, bool materialized);

/// The settings as asked for (docs/formats/runtime_config.schema.json); paths absolute.
nlohmann::ordered_json runtime_config_payload(const RuntimeConfig& config,
                                              const io::Environment& environment);
nlohmann::ordered_json generation_config_payload(const GenerationConfig& config);

/// `ollm config show --json` (docs/formats/config_show.schema.json).
nlohmann::ordered_json config_show_payload(const Settings& settings);

}  // namespace ollm::plan
