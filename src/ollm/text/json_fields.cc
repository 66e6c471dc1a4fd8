// What simdjson parsed of a large file, kept as values, and fields of the type that is expected
// (json_fields.h).
// Leaves what the fields mean to who asks for them.
#include "ollm/text/json_fields.h"

#include <fmt/format.h>

#include <unordered_set>
#include <utility>

#include "ollm/base/token_id.h"

namespace ollm::text {
namespace {

std::string shown(const Json& value) {
  return value.dump(-1, ' ', true, Json::error_handler_t::replace).substr(0, 80);
}

}  // namespace

Error json_error(simdjson::error_code code) {
  if (code == simdjson::DEPTH_ERROR) {
    return fail(ErrorKind::unsupported, fmt::format("JSON of more than {} levels", kMaxJsonDepth));
  }
  return fail(ErrorKind::corrupt, fmt::format("not valid JSON: {}", simdjson::error_message(code)));
}

Result<Json> copy_json(const simdjson::dom::element& element) {
  using Type = simdjson::dom::element_type;
  switch (
      element.type()) {  // the parser was made for kMaxJsonDepth levels, so recursion is bounded
    case Type::OBJECT: {
      Json out = Json::object();
      auto& members = out.get_ref<Json::object_t&>();
      std::unordered_set<std::string_view> keys;  // of the parser
      for (const auto& [key, value] : simdjson::dom::object(element)) {
        if (!keys.insert(key).second)
          return fail(ErrorKind::corrupt, fmt::format("key '{}' stands twice", key));
        OLLM_TRY(Json copied, copy_json(value));
        // Past the object's own search for the key, which would take quadratic time.
        members.emplace_back(std::string(key), std::move(copied));
      }
      return out;
    }
    case Type::ARRAY: {
      Json out = Json::array();
      for (const simdjson::dom::element value : simdjson::dom::array(element)) {
        OLLM_TRY(Json copied, copy_json(value));
        out.push_back(std::move(copied));
      }
      return out;
    }
    case Type::STRING:
      return Json(std::string(std::string_view(element)));
    case Type::INT64:
      return std::int64_t(element) < 0 ? Json(std::int64_t(element))
                                       : Json(static_cast<std::uint64_t>(std::int64_t(element)));
    case Type::UINT64:
      return Json(std::uint64_t(element));
    case Type::DOUBLE:
      return Json(double(element));
    case Type::BOOL:
      return Json(bool(element));
    case Type::NULL_VALUE:
      break;
  }
  return Json();
}

Result<Json> parse_small_json(std::string_view text, std::string_view file_name) {
  return parse_json(text, file_name,
                    {.size_bytes = kMaxSmallJsonBytes,
                     .depth = kMaxJsonDepth,
                     .keys_per_object = kMaxSmallJsonBytes});  // a file may list its added tokens
}

bool is_token_id(const Json& value) {
  return value.is_number_integer() && value >= 0 && value <= kMaxTokenId;
}

bool Fields::has(std::string_view name) const { return !at(name).is_null(); }

const Json& Fields::at(std::string_view name) const {
  static const Json null;
  if (!object_.is_object()) return null;
  const auto found = object_.find(std::string(name));
  return found == object_.end() ? null : *found;
}

Error Fields::wrong(std::string_view name, std::string_view expected) const {
  return fail(ErrorKind::corrupt, has(name) ? fmt::format("{}: {}: expected {}, found {}", where_,
                                                          name, expected, shown(at(name)))
                                            : fmt::format("{}: {} is missing", where_, name));
}

Result<bool> Fields::boolean(std::string_view name, std::optional<bool> fallback) const {
  if (!has(name) && fallback) return *fallback;
  if (!at(name).is_boolean()) return wrong(name, "true or false");
  return at(name).get<bool>();
}

Result<std::string> Fields::string(std::string_view name,
                                   std::optional<std::string> fallback) const {
  if (!has(name) && fallback) return *std::move(fallback);
  if (!at(name).is_string()) return wrong(name, "a string");
  return at(name).get<std::string>();
}

Result<std::int64_t> Fields::integer(std::string_view name,
                                     std::optional<std::int64_t> fallback) const {
  if (!has(name) && fallback) return *fallback;
  const Json& value = at(name);
  const bool fits = value.is_number_integer() &&
                    (!value.is_number_unsigned() || value.get<std::uint64_t>() <= INT64_MAX);
  if (!fits) return wrong(name, "an integer");
  return value.get<std::int64_t>();
}

Result<Fields> Fields::object(std::string_view name) const {
  if (!at(name).is_object()) return wrong(name, "an object");
  return Fields(at(name), fmt::format("{}: {}", where_, name));
}

Result<const Json*> Fields::array(std::string_view name) const {
  if (!at(name).is_array()) return wrong(name, "a list");
  return &at(name);
}

}  // namespace ollm::text
