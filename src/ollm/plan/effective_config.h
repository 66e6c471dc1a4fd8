// The effective config of a plan: what a family made of config.json, as a value and as JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "ollm/models/model_config.h"
#include "ollm/plan/plans.h"

namespace ollm::plan {

EffectiveConfig effective_config(const models::ModelConfig& config);

/// docs/formats/execution_plan.schema.json: model.
nlohmann::ordered_json effective_config_json(const EffectiveConfig& config);

}  // namespace ollm::plan
