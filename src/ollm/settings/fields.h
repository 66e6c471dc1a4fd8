// The one table of all settings: name, section, type, default, limits, flag. Parsing, checks, help,
// completions and `config show` are made from it, and so are the tests that run for every field.
// Leaves to others: where values come from (sources.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/settings/settings.h"
#include "ollm/settings/sources.h"

namespace ollm::settings {

/// Beyond these a setting is refused.
struct SettingsLimits {
  static constexpr std::uint64_t kFileBytes = 1u << 20;  // of ollm.toml
  static constexpr std::size_t kTextBytes = 4096;        // of one value; PATH_MAX of Linux
  static constexpr std::size_t kStops = 16;              // stop strings of one run
  static constexpr std::size_t kStopBytes = 256;         // of one of them
};

/// What values a field takes.
enum class FieldType {
  boolean,
  integer,
  number,
  text,
  path,    // text, relative to the working directory
  choice,  // text, one of `choices`; trimmed and in lower case
  bytes,   // an integer, or text as `4GiB`
  tokens,  // an integer, or text as `32k`
  texts,   // a list
};
OLLM_API std::string_view to_string(FieldType type);  // for help: "size", "tokens", "text", ...

/// What of a field's values this build refuses when it plans a run.
struct NotBuilt {
  std::span<const std::string_view> values = {};  // none listed: every value but the default
  std::string_view why = {};                      // empty: nothing is refused
};

/// One field of the settings.
struct SettingsField {
  /// As in `[section] name = value` of ollm.toml.
  ///@{
  std::string_view section = {};
  std::string_view name = {};
  ///@}
  FieldType type = FieldType::text;  // of its value
  /// Absent is a value, which `auto` sets.
  bool nullable = false;
  /// Of integers, numbers, bytes and tokens; the ends belong to it, `min` only if not `above_min`.
  ///@{
  double min = 0;
  double max = 0;
  bool above_min = false;
  ///@}
  std::span<const std::string_view> choices = {};  // of a choice
  std::string_view flag = {};                      // "--models-dir"
  std::string_view off_flag = {};                  // of booleans: "--no-multimodal"
  std::string_view summary = {};                   // for help
  /// A valid value other than the default, as text.
  std::string_view example = {};
  /// For help; that plans refuse these and take the others is held by a test.
  NotBuilt not_built = {};
  /// Why nothing in this build reads the field, for help; empty: it counts.
  std::string_view without_effect = {};
  /// What a text has to be, where its type alone does not tell.
  std::string_view expected = {};
  /// Brings a text into its form, e.g. trims it; nothing for a text that is none.
  std::optional<std::string> (*normalize)(std::string_view text) = nullptr;
  /// Its value.
  SettingsValue (*get)(const Settings& settings) = nullptr;
  /// For a value that parse_value made; one of another type changes nothing.
  void (*set)(Settings& settings, const SettingsValue& value) = nullptr;

  OLLM_API std::string qualified_name() const;    // "runtime.models_dir"
  OLLM_API std::string environment_name() const;  // "OLLM_RUNTIME__MODELS_DIR"
  /// Its default as text: "500", "true"; "auto" where absent is the default; empty for no texts.
  OLLM_API std::string default_text() const;
  /// What may be set, for people: "an integer from 1 to 65535", "one of auto, prefix, ...".
  OLLM_API std::string expects() const;
};

/// Section by section, in the order in which they are printed.
OLLM_API std::span<const SettingsField> settings_fields();

/// "runtime", "generation", "server", "benchmark".
OLLM_API std::span<const std::string_view> settings_sections();

/// The field of a name with its section ("runtime.device"), or nullptr.
OLLM_API const SettingsField* find_field(std::string_view qualified_name);

/// Names other than OLLM_SECTION__FIELD by which environment sets a field: OLLM_ISA.
struct EnvironmentAlias {
  std::string_view variable;  // "OLLM_ISA"
  std::string_view field;     // "runtime.isa"
};
OLLM_API std::span<const EnvironmentAlias> environment_aliases();

/// Brings a value into the type and form of a field, within its limits. With `from_text` (command
/// line, environment) numbers and booleans are written as text; without (TOML, JSON) they are not.
/// Errors: invalid_argument "expected an integer from 1 to 65535, found 0", without place and name.
OLLM_API Result<SettingsValue> parse_value(const SettingsField& field, const SettingsValue& value,
                                           bool from_text);

/// The nearest of some names, for "did you mean"; empty where none is near.
OLLM_API std::string_view nearest_name(std::string_view name,
                                       std::span<const std::string_view> names);

}  // namespace ollm::settings
