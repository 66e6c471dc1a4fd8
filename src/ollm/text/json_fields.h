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

#include "ollm/base/json_reader.h"
#include "ollm/base/result.h"

namespace ollm::text {

inline constexpr std::size_t kMaxJsonDepth = 64;
inline constexpr std::size_t kMaxSmallJsonBytes = 8 * 1024 * 1024;

/// Parses one of a tokenizer's small files: at most kMaxSmallJsonBytes and kMaxJsonDepth levels.
/// Errors: as parse_json.
Result<Json> parse_small_json(std::string_view text, std::string_view file_name);

/// A parser's error in our terms: unsupported for the depth, else corrupt.
Error json_error(simdjson::error_code code);

/// Turns a parsed value into one that outlives its parser. Errors: corrupt for a duplicate key.
Result<Json> copy_json(const simdjson::dom::element& element);

/// Whether a value is the id of a token.
bool is_token_id(const Json& value);

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
