// Settings as JSON: a section by the names of its fields, or every field with its origin.
// Leaves to others: which fields there are (fields.h).
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "ollm/io/environment.h"
#include "ollm/settings/settings.h"

namespace ollm::settings {

/// The settings as asked for (docs/formats/runtime_config.schema.json); paths absolute.
nlohmann::ordered_json runtime_config_payload(const RuntimeConfig& config,
                                              const io::Environment& environment);
nlohmann::ordered_json generation_config_payload(const GenerationSettings& config);

/// `ollm config show --json` (docs/formats/config_show.schema.json).
nlohmann::ordered_json config_show_payload(const Settings& settings);

}  // namespace ollm::settings
