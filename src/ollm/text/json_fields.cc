// Strict reading of small JSON parsed by simdjson, kept as nlohmann's values (json_fields.h).
// Leaves what the fields mean to who asks for them.
#include "ollm/text/json_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>
#include <vector>

namespace ollm::text {
namespace {

// Levels of nesting, by brackets outside of strings.
bool is_too_deep(std::string_view text) {
  std::size_t depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxJsonDepth) return true;
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
  return false;
}

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
      for (const auto& [key, value] : simdjson::dom::object(element)) {
        const std::string name(key);
        if (out.contains(name)) {
          return fail(ErrorKind::corrupt, fmt::format("key '{}' stands twice", name));
        }
        OLLM_TRY(out[name], copy_json(value));
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

std::string without_python_numbers(std::string_view text) {
  constexpr std::string_view kNumbers[] = {"-Infinity", "Infinity", "NaN"};
  std::string out;
  out.reserve(text.size());
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') in_string = !in_string;
    if (!in_string) {
      const auto* number =
          std::find_if(std::begin(kNumbers), std::end(kNumbers),
                       [&](std::string_view each) { return text.substr(i).starts_with(each); });
      if (number != std::end(kNumbers)) {
        out += text[i] == '-' ? "-1e308" : "1e308";
        i += number->size() - 1;
        continue;
      }
    }
    out += text[i];
    if (in_string && text[i] == '\\' && i + 1 < text.size()) out += text[++i];
  }
  return out;
}

// nlohmann's parser and not simdjson's: `model_max_length` is often an integer of 31 digits.
Result<Json> parse_small_json(std::string_view text) {
  if (text.size() > kMaxSmallJsonBytes) {
    return fail(ErrorKind::unsupported,
                fmt::format("{} bytes of JSON; the limit is {}", text.size(), kMaxSmallJsonBytes));
  }
  if (is_too_deep(text)) return json_error(simdjson::DEPTH_ERROR);
  std::vector<std::set<std::string>> keys(kMaxJsonDepth + 2);
  std::optional<std::string> twice;
  const auto watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
    const auto level = static_cast<std::size_t>(depth);
    if (event == Json::parse_event_t::object_start) keys[level + 1].clear();
    if (event == Json::parse_event_t::key) {
      auto key = parsed.get<std::string>();
      if (!keys[level].insert(key).second && !twice) twice = std::move(key);
    }
    return true;
  };
  Json parsed = Json::parse(without_python_numbers(text), watch, false);
  if (parsed.is_discarded()) return json_error(simdjson::TAPE_ERROR);
  if (twice) return fail(ErrorKind::corrupt, fmt::format("key '{}' stands twice", *twice));
  return parsed;
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
