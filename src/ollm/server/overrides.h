// The objects `runtime` and `generation` of our own routes: settings that a request may bring.
// Leaves to others: what settings are (the library's table).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "ollm/ollm.h"
#include "ollm/openai/encode.h"
#include "ollm/openai/error.h"

namespace ollm::server {

/// Puts the members of body["generation"], which are settings of that section but for `stream`,
/// into `out`. Errors: 400 with its `param`.
std::optional<openai::RequestError> read_generation(const nlohmann::ordered_json& body,
                                                    Settings& out);

/// The same of body["runtime"], of which a request may set the KV strategy and its window; the
/// model may be named. All else, every path above all, is refused.
std::optional<openai::RequestError> read_runtime(const nlohmann::ordered_json& body, Settings& out);

/// That the settings name the model that is served, by its id or its reference. Errors: 404.
std::optional<openai::RequestError> check_model(const openai::ServedModel& served,
                                                const Settings& settings);

}  // namespace ollm::server
