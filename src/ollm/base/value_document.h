// How values are made, on the inside. Leaves to others: what is in them.
#pragma once

#include <nlohmann/json.hpp>
#include <utility>

#include "ollm/base/value.h"

namespace ollm {

/// What a Value points into.
struct Value::Document {
  nlohmann::ordered_json json;

  /// The whole of it as a value.
  static Value make(nlohmann::ordered_json json);
  /// The JSON behind a value, for what is put together of several.
  static nlohmann::ordered_json json_of(const Value& value);
};

/// A whole document as a value.
inline Value make_value(nlohmann::ordered_json json) {
  return Value::Document::make(std::move(json));
}

/// Its JSON, to put it into another document.
inline nlohmann::ordered_json json_of(const Value& value) {
  return Value::Document::json_of(value);
}

/// Of JSON that people may read, as the command line prints it.
inline constexpr int kJsonIndent = 2;

/// JSON as text, as all of ours is written: in one line, or indented by so many spaces; what is no
/// UTF-8, as a path may be, gets replacement characters.
std::string json_dump(const nlohmann::ordered_json& json, int indent = 0);

}  // namespace ollm
