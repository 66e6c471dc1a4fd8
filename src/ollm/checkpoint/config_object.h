// Reading the fields of an object in config.json one by one, typed and in range, and keeping count
// of them, so that no field is passed over in silence. Leaves to others: which fields there are.
#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "ollm/base/callback.h"
#include "ollm/base/json_reader.h"
#include "ollm/base/result.h"

namespace ollm::checkpoint {

/// Which integers are taken; both ends belong to it.
struct IntegerRange {
  std::int64_t min = std::numeric_limits<std::int64_t>::min();
  std::int64_t max = std::numeric_limits<std::int64_t>::max();

  /// 1 to `max`: the range of every dimension and count.
  static constexpr IntegerRange positive(
      std::int64_t max = std::numeric_limits<std::int64_t>::max()) {
    return {1, max};
  }
  static constexpr IntegerRange non_negative(
      std::int64_t max = std::numeric_limits<std::int64_t>::max()) {
    return {0, max};
  }
};

/// Which numbers are taken; both ends belong to it, `min` only if not `above_min`.
struct NumberRange {
  double min = std::numeric_limits<double>::lowest();
  double max = std::numeric_limits<double>::max();
  bool above_min = false;

  static constexpr NumberRange above(double min, double max = std::numeric_limits<double>::max()) {
    return {min, max, true};
  }
};

/// Values without a range: bool and text.
struct AnyValue {};

template <typename T>
concept ConfigInteger = std::integral<T> && !std::same_as<T, bool>;

/// int, std::int64_t, std::uint32_t ... · double, float · bool · std::string
template <typename T>
concept ConfigScalar = ConfigInteger<T> || std::floating_point<T> || std::same_as<T, bool> ||
                       std::same_as<T, std::string>;

template <ConfigScalar T>
using RangeOf =
    std::conditional_t<ConfigInteger<T>, IntegerRange,
                       std::conditional_t<std::floating_point<T>, NumberRange, AnyValue>>;

/// One object of a document, read field by field.
///
/// Borrows the document, which has to outlive it. Copies are cheap and share one record of the
/// fields that were read: nested objects write into that of their root. One thread at a time.
///
/// Each getter marks its field as used, also when it fails. In `optional` and `value_or` an absent
/// field and null are the same, as in Transformers' files. Every error reads
/// "config.json: rope_scaling.factor: expected a number above 0, found "two"" and has the
/// kind corrupt: the value is not of the type or range that its name promises, or a required field
/// is absent.
///
///     OLLM_TRY(auto config, ConfigObject::make(folder.config(), "config.json"));
///     OLLM_TRY(model.hidden_size, config.required<int>("hidden_size",
///     IntegerRange::positive(kMax))); OLLM_TRY(model.rope_theta,
///     config.value_or<double>("rope_theta", 1e4, NumberRange::above(0))); OLLM_TRY(auto scaling,
///     config.optional_object("rope_scaling")); config.ignore(kWithoutEffect); for (const
///     std::string& key : config.unused_keys()) ...
class ConfigObject {
 public:
  /// Errors: corrupt where the document is no object.
  static Result<ConfigObject> make(const Json& document, std::string file_name);

  /// True where the field is there, null included. Does not mark it as used.
  bool has(std::string_view key) const;
  /// Whether it holds no field at all.
  bool empty() const;
  /// The value as it stands, marked as used with all that is inside; nullptr where absent.
  const Json* raw(std::string_view key) const;
  /// "rope_scaling." for a nested object, "" for the document: what stands before its keys.
  const std::string& prefix() const { return prefix_; }
  const std::string& file_name() const;

  /// Whole numbers are 12 and 12.0, never 12.5, true or "12"; the range is cut to what T can hold.
  /// Other numbers are finite. Text and bool are taken as themselves only.
  template <ConfigScalar T>
  Result<T> required(std::string_view key, RangeOf<T> range = {}) const;
  template <ConfigScalar T>
  Result<std::optional<T>> optional(std::string_view key, RangeOf<T> range = {}) const;
  template <ConfigScalar T>
  Result<T> value_or(std::string_view key, T fallback, RangeOf<T> range = {}) const;
  /// A list of them, or one alone as a list of one (eos_token_id); empty where absent or null.
  template <ConfigScalar T>
  Result<std::vector<T>> list(std::string_view key, RangeOf<T> range = {}) const;

  /// What of such a list can be read, and why the first of the others cannot.
  template <ConfigScalar T>
  struct Readable {
    std::vector<T> values;
    std::optional<Error> problem;
  };
  template <ConfigScalar T>
  Readable<T> readable(std::string_view key, RangeOf<T> range = {}) const;

  Result<ConfigObject> required_object(std::string_view key) const;
  Result<std::optional<ConfigObject>> optional_object(std::string_view key) const;

  /// Marks fields as known and without effect here; those that are absent are passed over.
  void ignore(std::string_view key) const;
  void ignore(std::span<const std::string_view> keys) const;

  /// The fields of this object that nobody read or ignored, those of nested objects that were
  /// opened as objects included, with their full path: "rope_scaling.beta". In document order.
  std::vector<std::string> unused_keys() const;
  /// The same, with each field's own key and value.
  using UnusedField =
      FunctionRef<void(const std::string& path, std::string_view key, const Json& value)>;
  void for_each_unused(UnusedField use) const;

  /// An error about one field in the form of all others, for checks between fields:
  /// "FILE: PREFIX.KEY: MESSAGE".
  Error error(ErrorKind kind, std::string_view key, std::string_view message) const;

 private:
  struct Document;  // file name and the record of used fields

  ConfigObject(const Json& object, std::string prefix, std::shared_ptr<Document> document);

  Error missing(std::string_view key) const;
  // The field, marked as used; nullptr where absent or null.
  const Json* used(std::string_view key) const;
  // The items of a list, its one value alone, or nothing where absent or null; marked as used.
  std::vector<const Json*> items(std::string_view key) const;

  Result<std::int64_t> integer(std::string_view key, const Json& value, IntegerRange range) const;
  Result<double> number(std::string_view key, const Json& value, NumberRange range) const;
  Result<bool> boolean(std::string_view key, const Json& value) const;
  Result<std::string> text(std::string_view key, const Json& value) const;
  template <ConfigScalar T>
  Result<T> convert(std::string_view key, const Json& value, RangeOf<T> range) const;

  const Json* object_;
  std::string prefix_;
  // Shared, as nested objects may outlive the reader they came from and all write one record.
  std::shared_ptr<Document> document_;
};

template <ConfigScalar T>
Result<T> ConfigObject::convert(std::string_view key, const Json& value, RangeOf<T> range) const {
  if constexpr (ConfigInteger<T>) {
    using Limits = std::numeric_limits<T>;
    if (std::cmp_less(range.min, Limits::min()))
      range.min = static_cast<std::int64_t>(Limits::min());
    if (std::cmp_greater(range.max, Limits::max()))
      range.max = static_cast<std::int64_t>(Limits::max());
    OLLM_TRY(const std::int64_t whole, integer(key, value, range));
    return static_cast<T>(whole);
  } else if constexpr (std::floating_point<T>) {
    OLLM_TRY(const double real, number(key, value, range));
    return static_cast<T>(real);
  } else if constexpr (std::same_as<T, bool>) {
    return boolean(key, value);
  } else {
    return text(key, value);
  }
}

template <ConfigScalar T>
Result<T> ConfigObject::required(std::string_view key, RangeOf<T> range) const {
  const Json* value = used(key);
  if (value == nullptr) return missing(key);
  return convert<T>(key, *value, range);
}

template <ConfigScalar T>
Result<std::optional<T>> ConfigObject::optional(std::string_view key, RangeOf<T> range) const {
  const Json* value = used(key);
  if (value == nullptr) return std::optional<T>();
  OLLM_TRY(T converted, convert<T>(key, *value, range));
  return std::optional<T>(std::move(converted));
}

template <ConfigScalar T>
Result<T> ConfigObject::value_or(std::string_view key, T fallback, RangeOf<T> range) const {
  const Json* value = used(key);
  if (value == nullptr) return fallback;
  return convert<T>(key, *value, range);
}

template <ConfigScalar T>
ConfigObject::Readable<T> ConfigObject::readable(std::string_view key, RangeOf<T> range) const {
  Readable<T> out;
  for (const Json* item : items(key)) {
    auto converted = convert<T>(key, *item, range);
    if (converted.ok())
      out.values.push_back(*std::move(converted));
    else if (!out.problem)
      out.problem = std::move(converted).error();
  }
  return out;
}

template <ConfigScalar T>
Result<std::vector<T>> ConfigObject::list(std::string_view key, RangeOf<T> range) const {
  Readable<T> read = readable<T>(key, range);
  if (read.problem) return *std::move(read.problem);
  return std::move(read.values);
}

}  // namespace ollm::checkpoint
