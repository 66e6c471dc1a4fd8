// The layers of settings before they are merged: which fields each has, as written, and where.
// Leaves to others: the merge and the checks (settings.cc).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ollm/settings/fields.h"
#include "ollm/settings/settings.h"
#include "ollm/settings/sources.h"

namespace ollm::settings {

/// One thing wrong with the settings.
struct SettingsProblem {
  std::string place;  // "ollm.toml:3"
  std::string message;
};

/// One field of a layer.
struct LayerValue {
  const SettingsField* field = nullptr;
  SettingsValue value;
  std::string place;
};

struct Layer {
  Origin origin = Origin::defaults;
  bool from_text = false;  // numbers and booleans are written as text
  std::vector<LayerValue> values = {};
  std::vector<SettingsProblem> problems = {};
};

/// Notes a value under its name, or that there is no such field, with the nearest.
void add_named(Layer& layer, std::string_view section, std::string_view name, SettingsValue value,
               std::string place);

/// The tables of a TOML text; problems in the order of lines. `file` names it in places.
Layer read_toml(std::string_view text, std::string_view file);

/// OLLM_SECTION__FIELD, OLLM_SECTION as a JSON object, and the aliases. Other names are left alone.
Layer read_environment(const io::Environment& environment);

/// Layers from the lowest to the highest over the defaults, checked as a whole.
/// Errors: invalid_argument with every problem.
Result<Settings> merge_layers(const std::vector<Layer>& layers);

}  // namespace ollm::settings
