// The four layers that settings come from: command line, environment, ollm.toml, defaults.
// Leaves to others: which fields there are (fields.h), flags of one command (cli/).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/io/environment.h"
#include "ollm/settings/settings.h"

namespace ollm::settings {

/// A value on its way to a field; null is absent.
using SettingsValue =
    std::variant<std::monostate, bool, std::int64_t, double, std::string, std::vector<std::string>>;

/// One value of the highest layer: a flag, or a field of a request's body.
struct SettingsOverride {
  std::string field;    // "runtime.models_dir"
  SettingsValue value;  // text is parsed by the field's type: `--memory 4GiB`
  std::string place;    // for messages: "--models-dir"
};

/// The layers above the defaults.
struct SettingsSources {
  /// In the order given. Of a list (`stop`) all are taken, of all else the last.
  std::vector<SettingsOverride> overrides;
  /// --config; else OLLM_CONFIG_FILE, else ./ollm.toml where it is there.
  std::optional<std::string> config_file;
  io::Environment environment;  // OLLM_SECTION__FIELD, OLLM_CONFIG_FILE
};

/// Merges the layers field by field, then checks the whole. `auto` sets a field that may be absent
/// back to absent, whatever a lower layer says.
/// Errors: invalid_argument with every problem, one a line: its place, its field, what was expected
/// and found, and the nearest name where one is unknown. A file that was asked for and is not there
/// is one of them.
OLLM_API Result<Settings> load_settings(const SettingsSources& sources);

/// Of variables named OLLM_ those that nothing reads, a sentence each: "OLLM_MEMORY: nothing reads
/// this variable; did you mean OLLM_RUNTIME__MEMORY?". Those that load_settings refuses are not
/// among them.
OLLM_API std::vector<std::string> unknown_variables(const io::Environment& environment);

}  // namespace ollm::settings
