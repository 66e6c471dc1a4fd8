// What a model's files hold, every default filled in, as JSON: the `model` of an execution plan.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "ollm/models/model_config.h"

namespace ollm::plan {

/// Keys are spelt as in config.json where it has such a key
/// (docs/formats/execution_plan.schema.json: model).
nlohmann::ordered_json model_payload(const models::ModelConfig& config);

}  // namespace ollm::plan
