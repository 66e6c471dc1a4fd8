#include "ollm/base/value.h"

#include <algorithm>
#include <cmath>

#include "ollm/base/value_document.h"

namespace ollm {
namespace {

using Json = nlohmann::ordered_json;

const Json& json_at(const void* node) {
  static const Json kNull;
  return node == nullptr ? kNull : *static_cast<const Json*>(node);
}

// JSON has no form for NaN and the infinities: null in its text, so null here too; a NaN would
// differ from itself.
void finite_or_null(Json& json) {
  if (json.is_number_float() && !std::isfinite(json.get<double>())) json = nullptr;
  if (json.is_structured())
    for (Json& part : json) finite_or_null(part);
}

}  // namespace

std::string json_dump(const Json& json, int indent) {
  return json.dump(indent > 0 ? indent : -1, ' ', false, Json::error_handler_t::replace);
}

Value Value::Document::make(Json json) {
  finite_or_null(json);
  auto document = std::make_shared<const Document>(Document{std::move(json)});
  const void* node = &document->json;
  return Value(std::move(document), node);
}

Json Value::Document::json_of(const Value& value) { return json_at(value.node_); }

Value::Value() = default;

Value::Kind Value::kind() const {
  switch (json_at(node_).type()) {
    case Json::value_t::boolean:
      return Kind::boolean;
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
      return Kind::integer;
    case Json::value_t::number_float:
      return Kind::number;
    case Json::value_t::string:
      return Kind::text;
    case Json::value_t::array:
      return Kind::list;
    case Json::value_t::object:
      return Kind::dict;
    default:
      return Kind::null;
  }
}

std::optional<bool> Value::boolean() const {
  const Json& json = json_at(node_);
  return json.is_boolean() ? std::optional(json.get<bool>()) : std::nullopt;
}

std::optional<std::int64_t> Value::integer() const {
  const Json& json = json_at(node_);
  if (!json.is_number_integer()) return std::nullopt;
  if (json.is_number_unsigned() && json.get<std::uint64_t>() > INT64_MAX) return std::nullopt;
  return json.get<std::int64_t>();
}

std::optional<double> Value::number() const {
  const Json& json = json_at(node_);
  return json.is_number() ? std::optional(json.get<double>()) : std::nullopt;
}

std::optional<std::string> Value::text() const {
  const Json& json = json_at(node_);
  return json.is_string() ? std::optional(json.get<std::string>()) : std::nullopt;
}

std::size_t Value::size() const {
  const Json& json = json_at(node_);
  return json.is_structured() ? json.size() : 0;
}

Value Value::at(std::size_t index) const {
  const Json& json = json_at(node_);
  if (index >= size()) return {};
  if (json.is_array()) return Value(document_, &json[index]);
  return Value(document_, &std::next(json.begin(), static_cast<std::ptrdiff_t>(index)).value());
}

std::string Value::key(std::size_t index) const {
  const Json& json = json_at(node_);
  if (!json.is_object() || index >= json.size()) return {};
  return std::next(json.begin(), static_cast<std::ptrdiff_t>(index)).key();
}

bool Value::has(std::string_view key) const {
  const Json& json = json_at(node_);
  return json.is_object() && json.contains(std::string(key));
}

Value Value::find(std::string_view key) const {
  const Json& json = json_at(node_);
  if (!json.is_object()) return {};
  const auto found = json.find(std::string(key));
  return found == json.end() ? Value() : Value(document_, &found.value());
}

std::string Value::json(int indent) const {
  return json_dump(json_at(node_), std::min(indent, kIndentMax));
}

bool operator==(const Value& a, const Value& b) { return json_at(a.node_) == json_at(b.node_); }

}  // namespace ollm
