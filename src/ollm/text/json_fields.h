// Small JSON read strictly: no duplicate keys, bounded depth, and fields of the type that is
// expected. Leaves large JSON (vocabularies, merges) to model_json.cc, which reads the parser's own
// values.
#pragma once

#include <simdjson.h>

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "ollm/base/result.h"

namespace ollm::text {

using Json = nlohmann::json;

inline constexpr std::size_t kMaxJsonDepth = 64;
inline constexpr std::size_t kMaxSmallJsonBytes = 8 * 1024 * 1024;

/// The text with a number of JSON in the place of each `NaN`, `Infinity` and `-Infinity` outside of
/// strings, which Python writes and reads where JSON has no such numbers: 1e308 with its sign. No
/// field that is read is such a number, so that one of them is still told as of the wrong type.
std::string without_python_numbers(std::string_view text);

/// Parses JSON of at most kMaxSmallJsonBytes and kMaxJsonDepth levels. Errors: corrupt for bad
/// syntax or a key that stands twice in one object, naming it; unsupported beyond the limits. A
/// byte order mark is skipped, and Python's NaN and Infinity are numbers.
Result<Json> parse_small_json(std::string_view text);

/// A parser's error in our terms: unsupported for the depth, else corrupt.
Error json_error(simdjson::error_code code);

/// Turns a parsed value into one that outlives its parser. Errors: corrupt for a duplicate key.
Result<Json> copy_json(const simdjson::dom::element& element);

/// One object of a file, and where it stands for messages: "normalizer: strip_left: ...".
class Fields {
 public:
  Fields(const Json& object, std::string where) : object_(object), where_(std::move(where)) {}

  const std::string& where() const { return where_; }
  /// Whether the field is there and not null.
  bool has(std::string_view name) const;
  /// The field, or null where it is not there.
  const Json& at(std::string_view name) const;

  // Errors: corrupt where the field has another type, or where it is missing and there is no
  // fallback. Null counts as missing.
  Result<bool> boolean(std::string_view name, std::optional<bool> fallback = {}) const;
  Result<std::string> string(std::string_view name, std::optional<std::string> fallback = {}) const;
  Result<std::int64_t> integer(std::string_view name,
                               std::optional<std::int64_t> fallback = {}) const;
  Result<Fields> object(std::string_view name) const;
  Result<const Json*> array(std::string_view name) const;

  Error wrong(std::string_view name, std::string_view expected) const;

 private:
  const Json& object_;
  std::string where_;
};

}  // namespace ollm::text
