#include "ollm/text/template/attributes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>

#include "ollm/text/template/bytes_value.h"
#include "ollm/text/template/characters.h"
#include "ollm/text/template/container_methods.h"
#include "ollm/text/template/macro.h"
#include "ollm/text/template/operators.h"
#include "ollm/text/template/python_format.h"
#include "ollm/text/template/string_methods.h"

namespace ollm::text::jinja {
namespace {

// As Jinja calls a value in its messages about what it lacks.
std::string described(const Value& object) {
  if (object.is(Kind::none)) return "'None'";
  return fmt::format("'{} object'", type_name(object));
}

Value no_attribute(Interpreter& in, const Value& object, std::string_view name) {
  return in.heap().undefined(
      fmt::format("{} has no attribute {}", described(object), quoted(name)));
}

Value unsafe_attribute(Interpreter& in, const Value& object, std::string_view name) {
  return in.heap().undefined(fmt::format("access to attribute {} of '{}' object is unsafe.",
                                         quoted(name), type_name(object)));
}

// What Python's class of missing values has of its own: asking for one of these is asking for
// something unsafe, which is missing once more, where any other attribute is the error itself.
bool is_attribute_of_undefined(std::string_view name) {
  static constexpr std::string_view kNames[] = {"__add__",
                                                "__aiter__",
                                                "__bool__",
                                                "__call__",
                                                "__class__",
                                                "__complex__",
                                                "__delattr__",
                                                "__dir__",
                                                "__div__",
                                                "__doc__",
                                                "__eq__",
                                                "__float__",
                                                "__floordiv__",
                                                "__format__",
                                                "__ge__",
                                                "__getattr__",
                                                "__getattribute__",
                                                "__getitem__",
                                                "__getstate__",
                                                "__gt__",
                                                "__hash__",
                                                "__init__",
                                                "__init_subclass__",
                                                "__int__",
                                                "__iter__",
                                                "__le__",
                                                "__len__",
                                                "__lt__",
                                                "__mod__",
                                                "__module__",
                                                "__mul__",
                                                "__ne__",
                                                "__neg__",
                                                "__new__",
                                                "__pos__",
                                                "__pow__",
                                                "__radd__",
                                                "__rdiv__",
                                                "__reduce__",
                                                "__reduce_ex__",
                                                "__repr__",
                                                "__rfloordiv__",
                                                "__rmod__",
                                                "__rmul__",
                                                "__rpow__",
                                                "__rsub__",
                                                "__rtruediv__",
                                                "__setattr__",
                                                "__sizeof__",
                                                "__slots__",
                                                "__str__",
                                                "__sub__",
                                                "__subclasshook__",
                                                "__truediv__",
                                                "_fail_with_undefined_error",
                                                "_undefined_exception",
                                                "_undefined_hint",
                                                "_undefined_message",
                                                "_undefined_name",
                                                "_undefined_obj"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

bool changes_its_object(const Value& object, std::string_view name) {
  static constexpr std::array<std::string_view, 8> kOfLists = {
      "append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"};
  static constexpr std::array<std::string_view, 5> kOfDicts = {"clear", "pop", "popitem",
                                                               "setdefault", "update"};
  if (object.is(Kind::list)) {
    return std::find(kOfLists.begin(), kOfLists.end(), name) != kOfLists.end();
  }
  if (object.is(Kind::dict)) {
    return std::find(kOfDicts.begin(), kOfDicts.end(), name) != kOfDicts.end();
  }
  return false;
}

// Attributes that are no methods. Nothing where there is none.
Result<Value> data_attribute(Interpreter& in, const Value& object, std::string_view name,
                             bool* found) {
  *found = true;
  switch (object.kind()) {
    case Kind::boolean:
    case Kind::integer:
    case Kind::wide_integer:
      if (name == "real" || name == "numerator") {
        return object.is(Kind::wide_integer) ? Result<Value>(object) : unary_plus(object);
      }
      if (name == "imag") return Value(std::int64_t{0});
      if (name == "denominator") return Value(std::int64_t{1});
      break;
    case Kind::real:
      if (name == "real") return object;
      if (name == "imag") return Value(0.0);
      break;
    case Kind::range: {
      const auto& range = object.as<RangeObject>();
      if (name == "start") return Value(range.start);
      if (name == "stop") return Value(range.stop);
      if (name == "step") return Value(range.step);
      break;
    }
    case Kind::tuple:
      if (object.as<SequenceObject>().is_group) {
        if (name == "grouper") return object.items()[0];
        if (name == "list") return object.items()[1];
      }
      break;
    case Kind::cycler: {
      const auto& cycler = object.as<CyclerObject>();
      if (name == "current") return cycler.items[cycler.position % cycler.items.size()];
      if (name == "items") return in.heap().tuple(cycler.items);
      if (name == "pos") return Value::count(cycler.position % cycler.items.size());
      break;
    }
    case Kind::joiner:
      if (name == "sep") return object.as<JoinerObject>().separator;
      if (name == "used") return Value(object.as<JoinerObject>().used);
      break;
    case Kind::macro:
      return macro_attribute(in, object, name, found);
    case Kind::loop:
      return loop_attribute(in, object, name, found);
    default:
      break;
  }
  *found = false;
  return Value();
}

// An item by key, or nothing, which covers Python's TypeError and LookupError.
const Value* dict_item(Interpreter& in, const Value& object, const Value& key) {
  if (!hash_of(key, &in.budget())) return nullptr;
  return object.as<DictObject>().find(key, &in.budget());
}

std::optional<std::size_t> index_in(std::size_t size, const Value& key) {
  if (!key.is(Kind::integer) && !key.is(Kind::boolean)) return std::nullopt;
  std::int64_t index = key.is(Kind::integer) ? key.integer() : (key.boolean() ? 1 : 0);
  if (index < 0) index += static_cast<std::int64_t>(size);
  if (index < 0 || index >= static_cast<std::int64_t>(size)) return std::nullopt;
  return static_cast<std::size_t>(index);
}

std::size_t offset_of_character(Interpreter& in, const Value& text, std::size_t index) {
  const auto& object = text.as<StringObject>();
  if (object.is_ascii()) return std::min(index, object.text.bytes.size());
  in.budget().spend_bytes(index);
  return byte_offset_of(object.text.bytes, index);
}

// Python's slice.indices: where to begin and end, and how many items come.
struct SliceRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t step = 1;
  std::size_t count = 0;
};

Result<SliceRange> slice_range(std::size_t length, const Value& start, const Value& stop,
                               const Value& step) {
  const auto size = static_cast<std::int64_t>(length);
  SliceRange range;
  const auto index = [](const Value& value) -> Result<std::int64_t> {
    if (value.is(Kind::undefined)) return undefined_error(value);
    if (!value.is(Kind::integer) && !value.is(Kind::boolean)) {
      return runtime_error("slice indices must be integers or None or have an __index__ method");
    }
    return as_index(value);
  };
  if (!step.is(Kind::none)) {
    OLLM_TRY(range.step, index(step));
  }
  if (range.step == 0) return runtime_error("slice step cannot be zero");
  // Steps longer than the whole are all alike, and this keeps their sums within 64 bits.
  range.step = std::clamp<std::int64_t>(range.step, -size - 1, size + 1);
  const bool forward = range.step > 0;
  const std::int64_t lowest = forward ? 0 : -1;
  const std::int64_t highest = forward ? size : size - 1;
  const auto bound = [&](const Value& value, std::int64_t otherwise) -> Result<std::int64_t> {
    if (value.is(Kind::none)) return otherwise;
    OLLM_TRY(std::int64_t at, index(value));
    if (at < 0) at = at < -size ? lowest : at + size;
    return std::clamp(at, lowest, highest);
  };
  OLLM_TRY(range.begin, bound(start, forward ? lowest : highest));
  OLLM_TRY(range.end, bound(stop, forward ? highest : lowest));
  if (forward && range.begin < range.end) {
    range.count = static_cast<std::size_t>((range.end - range.begin - 1) / range.step + 1);
  } else if (!forward && range.begin > range.end) {
    range.count = static_cast<std::size_t>((range.begin - range.end - 1) / -range.step + 1);
  }
  return range;
}

Value text_slice(Interpreter& in, const Value& text, const SliceRange& range) {
  const auto& object = text.as<StringObject>();
  if (range.count == 0) return substring(in, text, 0, 0);
  const auto first = static_cast<std::size_t>(range.begin);
  if (range.step == 1) {
    const std::size_t begin = offset_of_character(in, text, first);
    const std::size_t end = offset_of_character(in, text, first + range.count);
    return substring(in, text, begin, end);
  }
  // Other steps pick characters one by one, by the offset of each.
  std::vector<std::size_t> offsets;
  if (!in.budget().spend(object.code_points)) return Value();
  offsets.reserve(object.code_points + 1);
  for (std::size_t i = 0; i < object.text.bytes.size(); ++i) {
    if ((static_cast<unsigned char>(object.text.bytes[i]) & 0xC0) != 0x80) offsets.push_back(i);
  }
  offsets.push_back(object.text.bytes.size());
  TextBuilder out = in.heap().builder();
  for (std::size_t i = 0; i < range.count; ++i) {
    const auto at =
        static_cast<std::size_t>(range.begin + static_cast<std::int64_t>(i) * range.step);
    out.append(object.text, offsets[at], offsets[at + 1]);
  }
  return in.heap().string(std::move(out), object.markup);
}

// Errors: invalid_argument, where the bounds of the slice leave 64 bits.
Result<Value> range_slice(Interpreter& in, const RangeObject& of, const SliceRange& range) {
  std::int64_t step = 0;
  std::int64_t start = 0;
  std::int64_t stop = 0;
  if (__builtin_mul_overflow(of.step, range.step, &step) ||
      __builtin_mul_overflow(of.step, range.begin, &start) ||
      __builtin_add_overflow(of.start, start, &start) ||
      __builtin_mul_overflow(of.step, range.end, &stop) ||
      __builtin_add_overflow(of.start, stop, &stop)) {
    return runtime_error("a range beyond 64 bits");
  }
  return in.heap().adopt(std::make_shared<RangeObject>(start, stop, step), 0, 0);
}

}  // namespace

FunctionObject::Body method_of(const Value& object, std::string_view name) {
  switch (object.kind()) {
    case Kind::string:
      return string_method(name);
    case Kind::bytes:
      return bytes_method(name);
    case Kind::list:
    case Kind::tuple:
    case Kind::range:
      return sequence_method(object.kind(), name);
    case Kind::dict:
      return dict_method(name);
    case Kind::boolean:
    case Kind::integer:
    case Kind::real:
      return number_method(object.kind(), name);
    case Kind::cycler:
      return cycler_method(name);
    case Kind::loop:
      return loop_method(name);
    case Kind::function:
      return function_method(object, name);
    default:
      return nullptr;
  }
}

Result<Value> attribute_of(Interpreter& in, const Value& object, std::string_view name) {
  if (object.is(Kind::undefined)) {
    if (is_attribute_of_undefined(name)) return unsafe_attribute(in, object, name);
    return undefined_error(object);
  }
  if (object.is(Kind::name_space)) {
    if (const Value* found = object.as<NamespaceObject>().find(name)) return *found;
    return no_attribute(in, object, name);
  }
  if (const FunctionObject::Body body = method_of(object, name)) {
    return in.heap().function(name, body, object);
  }
  bool found = false;
  OLLM_TRY(Value value, data_attribute(in, object, name, &found));
  if (found) return value;
  if (changes_its_object(object, name)) return unsafe_attribute(in, object, name);
  if (object.is(Kind::dict)) {
    if (const Value* item = object.as<DictObject>().find(name)) return *item;
  }
  if (name.starts_with("__")) return unsafe_attribute(in, object, name);
  return no_attribute(in, object, name);
}

Result<Value> item_of(Interpreter& in, const Value& object, const Value& key) {
  switch (object.kind()) {
    case Kind::undefined:
      return undefined_error(object);
    case Kind::dict:
      if (const Value* found = dict_item(in, object, key)) return *found;
      break;
    case Kind::list:
    case Kind::tuple:
      if (const auto index = index_in(object.items().size(), key)) return object.items()[*index];
      break;
    case Kind::string:
      if (const auto index = index_in(object.as<StringObject>().code_points, key)) {
        const std::size_t begin = offset_of_character(in, object, *index);
        return substring(in, object, begin, begin + decode_at(object.text().bytes, begin).size);
      }
      break;
    case Kind::bytes: {
      const std::string& bytes = object.as<BytesObject>().data.bytes;
      if (const auto index = index_in(bytes.size(), key)) {
        return Value(std::int64_t{static_cast<unsigned char>(bytes[*index])});
      }
      break;
    }
    case Kind::range:
      if (const auto index = index_in(object.as<RangeObject>().length, key)) {
        return Value(object.as<RangeObject>().at(*index));
      }
      break;
    default:
      break;
  }
  if (key.is(Kind::string)) {
    // A text key may still name a method or an attribute, yet not what a dict lacks as an item.
    return attribute_of(in, object, key.text().bytes);
  }
  if (key.is(Kind::integer) && !object.is(Kind::dict)) {
    return in.heap().undefined(
        fmt::format("{} has no element {}", described(object), key.integer()));
  }
  TextBuilder shown = in.heap().builder();
  append_repr(in, shown, key);
  return in.heap().undefined(
      fmt::format("{} has no element {}", described(object), shown.text().bytes));
}

Result<Value> slice_of(Interpreter& in, const Value& object, const Value& start, const Value& stop,
                       const Value& step) {
  switch (object.kind()) {
    case Kind::undefined:
      return undefined_error(object);
    case Kind::string: {
      OLLM_TRY(const SliceRange range,
               slice_range(object.as<StringObject>().code_points, start, stop, step));
      return text_slice(in, object, range);
    }
    case Kind::bytes: {
      const MarkedText& data = object.as<BytesObject>().data;
      OLLM_TRY(const SliceRange range, slice_range(data.bytes.size(), start, stop, step));
      if (!in.budget().spend(range.count)) return Value();
      TextBuilder out = in.heap().builder();
      for (std::size_t i = 0; i < range.count; ++i) {
        const auto at =
            static_cast<std::size_t>(range.begin + static_cast<std::int64_t>(i) * range.step);
        out.append(data, at, at + 1);
      }
      return in.heap().bytes(std::move(out));
    }
    case Kind::list:
    case Kind::tuple: {
      OLLM_TRY(const SliceRange range, slice_range(object.items().size(), start, stop, step));
      if (!in.budget().spend(range.count)) return Value();
      std::vector<Value> items;
      items.reserve(range.count);
      for (std::size_t i = 0; i < range.count; ++i) {
        items.push_back(object.items()[static_cast<std::size_t>(
            range.begin + static_cast<std::int64_t>(i) * range.step)]);
      }
      return in.heap().sequence(object.kind(), std::move(items));
    }
    case Kind::range: {
      const auto& of = object.as<RangeObject>();
      OLLM_TRY(const SliceRange range, slice_range(of.length, start, stop, step));
      return range_slice(in, of, range);
    }
    default:
      return runtime_error(fmt::format("'{}' object is not subscriptable", type_name(object)));
  }
}

}  // namespace ollm::text::jinja
