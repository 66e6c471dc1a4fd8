#include "ollm/checkpoint/config_object.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "ollm/base/json_cursor.h"

namespace ollm::checkpoint {
namespace {

const Json* member(const Json& object, std::string_view key) {
  for (const auto& [name, value] : object.get_ref<const Json::object_t&>())
    if (name == key) return &value;
  return nullptr;
}

std::string range_text(std::string_view what, IntegerRange range) {
  using Limits = std::numeric_limits<std::int64_t>;
  const bool floor = range.min != Limits::min();
  const bool ceiling = range.max != Limits::max();
  if (floor && ceiling) return fmt::format("{} from {} to {}", what, range.min, range.max);
  if (floor) return fmt::format("{} of at least {}", what, range.min);
  if (ceiling) return fmt::format("{} of at most {}", what, range.max);
  return std::string(what);
}

std::string range_text(std::string_view what, NumberRange range) {
  std::string out(what);
  if (range.min != std::numeric_limits<double>::lowest())
    out += fmt::format(" {} {}", range.above_min ? "above" : "of at least", range.min);
  if (range.max != std::numeric_limits<double>::max())
    out += fmt::format("{} at most {}", out.size() == what.size() ? " of" : " and", range.max);
  return out;
}

}  // namespace

// By the addresses of values in the document, which is constant: paths of keys could collide.
struct ConfigObject::Document {
  std::string file_name;
  std::unordered_set<const Json*> used;    // read or ignored, with all that is inside
  std::unordered_set<const Json*> opened;  // objects whose own fields tell
};

ConfigObject::ConfigObject(const Json& object, std::string prefix,
                           std::shared_ptr<Document> document)
    : object_(&object), prefix_(std::move(prefix)), document_(std::move(document)) {}

Result<ConfigObject> ConfigObject::make(const Json& document, std::string file_name) {
  if (!document.is_object())
    return fail(ErrorKind::corrupt,
                fmt::format("{}: expected an object, found {}", file_name, describe(document)));
  auto record = std::make_shared<Document>();
  record->file_name = std::move(file_name);
  return ConfigObject(document, "", std::move(record));
}

const std::string& ConfigObject::file_name() const { return document_->file_name; }

bool ConfigObject::has(std::string_view key) const { return member(*object_, key) != nullptr; }

bool ConfigObject::empty() const { return object_->empty(); }

const Json* ConfigObject::raw(std::string_view key) const {
  const Json* value = member(*object_, key);
  if (value != nullptr) document_->used.insert(value);
  return value;
}

const Json* ConfigObject::used(std::string_view key) const {
  const Json* value = raw(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

std::vector<const Json*> ConfigObject::items(std::string_view key) const {
  std::vector<const Json*> out;
  const Json* value = used(key);
  if (value == nullptr) return out;
  if (!value->is_array()) return {value};
  for (const Json& item : *value) out.push_back(&item);
  return out;
}

Error ConfigObject::error(ErrorKind kind, std::string_view key, std::string_view message) const {
  // Keys are texts of the file, and so is what a caller's message quotes.
  return fail(kind, printable(fmt::format("{}: {}{}: {}", file_name(), prefix_, key, message)));
}

Error ConfigObject::missing(std::string_view key) const {
  const Json* value = member(*object_, key);
  return error(ErrorKind::corrupt, key,
               value == nullptr ? "is required and not there" : "is required and null");
}

Result<std::int64_t> ConfigObject::integer(std::string_view key, const Json& value,
                                           IntegerRange range) const {
  // The range of whole doubles that fit; 2^63 itself does not.
  constexpr double kEnd = 9223372036854775808.0;
  bool whole = false;
  std::int64_t found = 0;
  if (value.is_number_unsigned()) {
    const auto large = value.get<std::uint64_t>();
    whole = std::in_range<std::int64_t>(large);
    found = whole ? static_cast<std::int64_t>(large) : 0;
  } else if (value.is_number_integer()) {
    whole = true;
    found = value.get<std::int64_t>();
  } else if (value.is_number_float()) {
    const double real = value.get<double>();
    whole = real == std::floor(real) && real >= -kEnd && real < kEnd;
    found = whole ? static_cast<std::int64_t>(real) : 0;
  }
  if (whole && found >= range.min && found <= range.max) return found;
  return error(
      ErrorKind::corrupt, key,
      fmt::format("expected {}, found {}", range_text("an integer", range), describe(value)));
}

Result<double> ConfigObject::number(std::string_view key, const Json& value,
                                    NumberRange range) const {
  if (value.is_number()) {
    const double found = value.get<double>();
    const bool above = range.above_min ? found > range.min : found >= range.min;
    if (std::isfinite(found) && above && found <= range.max) return found;
  }
  return error(
      ErrorKind::corrupt, key,
      fmt::format("expected {}, found {}", range_text("a number", range), describe(value)));
}

Result<bool> ConfigObject::boolean(std::string_view key, const Json& value) const {
  if (value.is_boolean()) return value.get<bool>();
  return error(ErrorKind::corrupt, key,
               fmt::format("expected true or false, found {}", describe(value)));
}

Result<std::string> ConfigObject::text(std::string_view key, const Json& value) const {
  if (value.is_string()) return value.get<std::string>();
  return error(ErrorKind::corrupt, key, fmt::format("expected a text, found {}", describe(value)));
}

Result<ConfigObject> ConfigObject::required_object(std::string_view key) const {
  OLLM_TRY(auto object, optional_object(key));
  if (!object) return missing(key);
  return *object;
}

Result<std::optional<ConfigObject>> ConfigObject::optional_object(std::string_view key) const {
  const Json* value = member(*object_, key);
  if (value == nullptr) return std::optional<ConfigObject>();
  if (!value->is_object()) {
    document_->used.insert(value);
    if (value->is_null()) return std::optional<ConfigObject>();
    return error(ErrorKind::corrupt, key,
                 fmt::format("expected an object, found {}", describe(*value)));
  }
  document_->opened.insert(value);
  return std::optional(ConfigObject(*value, fmt::format("{}{}.", prefix_, key), document_));
}

void ConfigObject::ignore(std::string_view key) const { raw(key); }

void ConfigObject::ignore(std::span<const std::string_view> keys) const {
  for (const std::string_view key : keys) ignore(key);
}

void ConfigObject::for_each_unused(UnusedField use) const {
  for (const auto& [key, value] : object_->get_ref<const Json::object_t&>()) {
    if (document_->used.contains(&value)) continue;
    if (document_->opened.contains(&value)) {
      ConfigObject(value, fmt::format("{}{}.", prefix_, key), document_).for_each_unused(use);
      continue;
    }
    use(prefix_ + key, key, value);
  }
}

std::vector<std::string> ConfigObject::unused_keys() const {
  std::vector<std::string> out;
  for_each_unused(
      [&](const std::string& path, std::string_view, const Json&) { out.push_back(path); });
  return out;
}

}  // namespace ollm::checkpoint
