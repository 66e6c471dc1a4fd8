#include "ollm/text/template/operators.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "ollm/text/template/characters.h"

namespace ollm::text::jinja {
namespace {

bool is_missing(const Value& value) { return value.is(Kind::undefined); }

bool spend(Budget* budget, std::uint64_t steps) {
  return budget == nullptr || budget->spend(steps);
}

// Which of two numbers is smaller, exactly, also where an integer has more bits than a double.
std::partial_ordering number_order(const Value& a, const Value& b) {
  const bool a_real = a.is(Kind::real);
  const bool b_real = b.is(Kind::real);
  if (a_real && b_real) return a.real() <=> b.real();
  // Integers of both widths fit a long double's 64 bits of mantissa.
  const auto widen = [](const Value& v) -> long double {
    if (v.is(Kind::real)) return v.real();
    if (v.is(Kind::wide_integer)) return static_cast<long double>(v.wide_integer());
    if (v.is(Kind::boolean)) return v.boolean() ? 1 : 0;
    return static_cast<long double>(v.integer());
  };
  return widen(a) <=> widen(b);
}

// Order of two values of one kind, lists item by item. Nothing where there is none.
Result<std::partial_ordering> order(Interpreter& in, Comparison op, const Value& a,
                                    const Value& b) {
  if (a.is_number() && b.is_number()) return number_order(a, b);
  if (a.is(Kind::string) && b.is(Kind::string)) {
    in.budget().spend_bytes(std::min(a.text().bytes.size(), b.text().bytes.size()));
    // Byte order of UTF-8 is the order of code points.
    return std::partial_ordering(a.text().bytes.compare(b.text().bytes) <=> 0);
  }
  if (a.is(Kind::bytes) && b.is(Kind::bytes)) {
    const std::string& left = a.as<BytesObject>().data.bytes;
    const std::string& right = b.as<BytesObject>().data.bytes;
    in.budget().spend_bytes(std::min(left.size(), right.size()));
    return std::partial_ordering(left.compare(right) <=> 0);
  }
  if (is_missing(a)) return undefined_error(a);
  if (is_missing(b)) return undefined_error(b);
  if (a.kind() == b.kind() && (a.is(Kind::list) || a.is(Kind::tuple))) {
    const std::size_t common = std::min(a.items().size(), b.items().size());
    for (std::size_t i = 0; i < common; ++i) {
      if (!in.budget().spend(1)) break;
      if (values_equal(a.items()[i], b.items()[i], &in.budget())) continue;
      return order(in, op, a.items()[i], b.items()[i]);
    }
    return std::partial_ordering(a.items().size() <=> b.items().size());
  }
  return runtime_error(fmt::format("'{}' not supported between instances of '{}' and '{}'",
                                   to_string(op), type_name(a), type_name(b)));
}

Result<bool> contains(Interpreter& in, const Value& item, const Value& container) {
  switch (container.kind()) {
    case Kind::string: {
      if (is_missing(item)) return undefined_error(item);
      if (!item.is(Kind::string)) {
        return runtime_error(
            fmt::format("'in <string>' requires string as left operand, not {}", type_name(item)));
      }
      in.budget().spend_bytes(container.text().bytes.size());
      return find_text(container.text().bytes, item.text().bytes) != std::string::npos;
    }
    case Kind::bytes: {
      const std::string& bytes = container.as<BytesObject>().data.bytes;
      in.budget().spend_bytes(bytes.size());
      if (item.is(Kind::bytes))
        return find_text(bytes, item.as<BytesObject>().data.bytes) != std::string::npos;
      if (is_missing(item)) return undefined_error(item);
      if (!item.is(Kind::integer) && !item.is(Kind::boolean))
        return runtime_error(
            fmt::format("a bytes-like object is required, not '{}'", type_name(item)));
      OLLM_TRY(const std::int64_t byte, as_index(item));
      if (byte < 0 || byte > 255) return runtime_error("byte must be in range(0, 256)");
      return bytes.find(static_cast<char>(byte)) != std::string::npos;
    }
    case Kind::dict: {
      if (!hash_of(item, &in.budget())) {
        return runtime_error(fmt::format("unhashable type: '{}'", type_name(item)));
      }
      return container.as<DictObject>().find(item, &in.budget()) != nullptr;
    }
    case Kind::undefined:
      return false;
    case Kind::list:
    case Kind::tuple:
    case Kind::range:
    case Kind::dict_view:
    case Kind::generator: {
      OLLM_TRY(const Items items, items_of(in, container));
      for (const Value& candidate : items) {
        if (!in.budget().spend(1)) break;
        if (values_equal(candidate, item, &in.budget())) return true;
      }
      return false;
    }
    default:
      return runtime_error(
          fmt::format("argument of type '{}' is not iterable", type_name(container)));
  }
}

}  // namespace

std::string_view to_string(Comparison op) {
  switch (op) {
    case Comparison::equal:
      return "==";
    case Comparison::not_equal:
      return "!=";
    case Comparison::less:
      return "<";
    case Comparison::less_equal:
      return "<=";
    case Comparison::greater:
      return ">";
    case Comparison::greater_equal:
      return ">=";
    case Comparison::in:
      return "in";
    case Comparison::not_in:
      return "not in";
  }
  return "?";
}

bool truth(const Value& value) {
  switch (value.kind()) {
    case Kind::none:
    case Kind::undefined:
      return false;
    case Kind::boolean:
      return value.boolean();
    case Kind::integer:
      return value.integer() != 0;
    case Kind::real:
      return value.real() != 0.0;
    case Kind::string:
      return !value.text().bytes.empty();
    case Kind::bytes:
      return !value.as<BytesObject>().data.bytes.empty();
    case Kind::list:
    case Kind::tuple:
      return !value.items().empty();
    case Kind::dict:
      return !value.as<DictObject>().items.empty();
    case Kind::range:
      return value.as<RangeObject>().length > 0;
    case Kind::dict_view:
      return truth(value.as<DictViewObject>().dict);
    case Kind::wide_integer:
    case Kind::generator:
    case Kind::name_space:
    case Kind::function:
    case Kind::macro:
    case Kind::loop:
    case Kind::cycler:
    case Kind::joiner:
      return true;
  }
  return true;
}

bool values_equal(const Value& a, const Value& b, Budget* budget) {
  if (a.is_number() && b.is_number()) return number_order(a, b) == 0;
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::none:
    case Kind::undefined:  // any two missing things are equal, as in Jinja
      return true;
    case Kind::string:
      if (a.text().bytes.size() != b.text().bytes.size()) return false;
      if (a.text().bytes.size() >= 64) spend(budget, a.text().bytes.size() / 64);
      return a.text().bytes == b.text().bytes;
    case Kind::bytes:
      spend(budget, a.as<BytesObject>().data.bytes.size() / 64);
      return a.as<BytesObject>().data.bytes == b.as<BytesObject>().data.bytes;
    case Kind::list:
    case Kind::tuple:
      if (a.items().size() != b.items().size()) return false;
      for (std::size_t i = 0; i < a.items().size(); ++i) {
        if (!spend(budget, 1)) return false;
        if (!values_equal(a.items()[i], b.items()[i], budget)) return false;
      }
      return true;
    case Kind::dict: {
      const auto& left = a.as<DictObject>();
      const auto& right = b.as<DictObject>();
      if (left.items.size() != right.items.size()) return false;
      for (const auto& [key, value] : left.items) {
        if (!spend(budget, 1)) return false;
        const Value* other = right.find(key, budget);
        if (other == nullptr || !values_equal(value, *other, budget)) return false;
      }
      return true;
    }
    case Kind::range: {
      const auto& left = a.as<RangeObject>();
      const auto& right = b.as<RangeObject>();
      return left.length == right.length &&
             (left.length == 0 ||
              (left.start == right.start && (left.length == 1 || left.step == right.step)));
    }
    case Kind::dict_view: {
      // Keys and items are sets; values are only themselves.
      const auto& left = a.as<DictViewObject>();
      const auto& right = b.as<DictViewObject>();
      if (left.part != right.part || left.part == DictViewObject::Part::values)
        return a.object() == b.object();
      if (left.part == DictViewObject::Part::items)
        return values_equal(left.dict, right.dict, budget);
      const auto& keys = left.dict.as<DictObject>().items;
      const auto& others = right.dict.as<DictObject>();
      return keys.size() == others.items.size() &&
             std::all_of(keys.begin(), keys.end(), [&](const auto& entry) {
               return spend(budget, 1) && others.find(entry.first, budget) != nullptr;
             });
    }
    case Kind::function:
      return a.as<FunctionObject>().body == b.as<FunctionObject>().body &&
             a.as<FunctionObject>().self.object() == b.as<FunctionObject>().self.object();
    default:
      return a.object() == b.object();
  }
}

Result<bool> compare(Interpreter& in, Comparison op, const Value& a, const Value& b) {
  switch (op) {
    case Comparison::equal:
      return values_equal(a, b, &in.budget());
    case Comparison::not_equal:
      return !values_equal(a, b, &in.budget());
    case Comparison::in:
      return contains(in, a, b);
    case Comparison::not_in: {
      OLLM_TRY(const bool found, contains(in, a, b));
      return !found;
    }
    default:
      break;
  }
  OLLM_TRY(const std::partial_ordering order_of, order(in, op, a, b));
  switch (op) {
    case Comparison::less:
      return order_of < 0;
    case Comparison::less_equal:
      return order_of <= 0;
    case Comparison::greater:
      return order_of > 0;
    default:
      return order_of >= 0;
  }
}

Result<Items> items_of(Interpreter& in, const Value& value) {
  switch (value.kind()) {
    case Kind::list:
    case Kind::tuple:
      return Items(value.object());
    case Kind::undefined:
      return Items(std::vector<Value>{});
    case Kind::string: {
      const MarkedText& text = value.text();
      std::vector<Value> items;
      items.reserve(
          std::min(value.as<StringObject>().code_points, in.budget().room_bytes() / sizeof(Value)));
      for (std::size_t begin = 0; begin < text.bytes.size();) {
        if (!in.budget().spend(1)) break;
        std::size_t end = begin + 1;
        while (end < text.bytes.size() &&
               (static_cast<unsigned char>(text.bytes[end]) & 0xC0) == 0x80) {
          ++end;
        }
        TextBuilder character = in.heap().builder();
        character.append(text, begin, end);
        items.push_back(in.heap().string(std::move(character)));
        begin = end;
      }
      return Items(std::move(items));
    }
    case Kind::bytes: {
      const std::string& bytes = value.as<BytesObject>().data.bytes;
      std::vector<Value> items;
      if (!in.budget().spend(bytes.size())) return Items(std::move(items));
      items.reserve(std::min(bytes.size(), in.budget().room_bytes() / sizeof(Value)));
      for (const char c : bytes) {
        items.emplace_back(std::int64_t{static_cast<unsigned char>(c)});
      }
      return Items(std::move(items));
    }
    case Kind::dict: {
      std::vector<Value> keys;
      in.budget().spend(value.as<DictObject>().items.size());
      for (const auto& [key, item] : value.as<DictObject>().items) keys.push_back(key);
      return Items(std::move(keys));
    }
    case Kind::dict_view: {
      const auto& view = value.as<DictViewObject>();
      std::vector<Value> items;
      for (const auto& [key, item] : view.dict.as<DictObject>().items) {
        if (!in.budget().spend(1)) break;
        items.push_back(view.part == DictViewObject::Part::keys     ? key
                        : view.part == DictViewObject::Part::values ? item
                                                                    : in.heap().tuple({key, item}));
      }
      return Items(std::move(items));
    }
    case Kind::range: {
      const auto& range = value.as<RangeObject>();
      in.budget().spend(range.length);
      std::vector<Value> items;
      items.reserve(range.length);
      for (std::size_t i = 0; i < range.length; ++i) items.emplace_back(range.at(i));
      return Items(std::move(items));
    }
    case Kind::generator: {
      auto& generator = value.as<GeneratorObject>();
      if (generator.make) {
        const auto make = std::exchange(generator.make, nullptr);
        OLLM_TRY(generator.items, make());
      }
      std::vector<Value> rest(std::make_move_iterator(generator.items.begin() +
                                                      static_cast<std::ptrdiff_t>(generator.next)),
                              std::make_move_iterator(generator.items.end()));
      generator.items.clear();
      generator.next = 0;
      return Items(std::move(rest));
    }
    default:
      return runtime_error(fmt::format("'{}' object is not iterable", type_name(value)));
  }
}

bool is_iterable(const Value& value) {
  switch (value.kind()) {
    case Kind::string:
    case Kind::bytes:
    case Kind::list:
    case Kind::tuple:
    case Kind::dict:
    case Kind::range:
    case Kind::dict_view:
    case Kind::generator:
    case Kind::undefined:
    case Kind::loop:
      return true;
    default:
      return false;
  }
}

Result<std::size_t> length_of(const Value& value) {
  switch (value.kind()) {
    case Kind::string:
      return value.as<StringObject>().code_points;
    case Kind::bytes:
      return value.as<BytesObject>().data.bytes.size();
    case Kind::list:
    case Kind::tuple:
      return value.items().size();
    case Kind::dict:
      return value.as<DictObject>().items.size();
    case Kind::dict_view:
      return value.as<DictViewObject>().dict.as<DictObject>().items.size();
    case Kind::range:
      return value.as<RangeObject>().length;
    case Kind::undefined:
      return std::size_t{0};
    default:
      return runtime_error(fmt::format("object of type '{}' has no len()", type_name(value)));
  }
}

double as_real(const Value& number) {
  switch (number.kind()) {
    case Kind::boolean:
      return number.boolean() ? 1 : 0;
    case Kind::integer:
      return static_cast<double>(number.integer());
    case Kind::wide_integer:
      return static_cast<double>(number.wide_integer());
    default:
      return number.real();
  }
}

Result<std::int64_t> as_index(const Value& value) {
  if (value.is(Kind::integer)) return value.integer();
  if (value.is(Kind::boolean)) return static_cast<std::int64_t>(value.boolean() ? 1 : 0);
  if (value.is(Kind::wide_integer)) return runtime_error("an integer beyond 64 bits");
  if (value.is(Kind::undefined)) return undefined_error(value);
  return runtime_error(
      fmt::format("'{}' object cannot be interpreted as an integer", type_name(value)));
}

Result<void> sort_by(Interpreter& in, std::vector<Value>& values, const std::vector<Value>& keys,
                     bool reverse) {
  const std::size_t count = values.size();
  std::vector<std::size_t> order_of(count);
  for (std::size_t i = 0; i < count; ++i) order_of[i] = i;
  std::vector<std::size_t> merged(count);
  for (std::size_t width = 1; width < count; width *= 2) {
    for (std::size_t begin = 0; begin < count; begin += 2 * width) {
      const std::size_t middle = std::min(begin + width, count);
      const std::size_t end = std::min(begin + 2 * width, count);
      std::size_t left = begin;
      std::size_t right = middle;
      for (std::size_t out = begin; out < end; ++out) {
        bool take_right = left == middle;
        if (left < middle && right < end) {
          if (!in.budget().spend(1)) return {};
          // Equal items keep their order; reversed, too, as Python does it.
          const Value& a = keys[order_of[left]];
          const Value& b = keys[order_of[right]];
          OLLM_TRY(take_right, reverse ? compare(in, Comparison::less, a, b)
                                       : compare(in, Comparison::less, b, a));
        }
        merged[out] = take_right ? order_of[right++] : order_of[left++];
      }
    }
    std::swap(order_of, merged);
  }
  std::vector<Value> sorted;
  sorted.reserve(count);
  for (const std::size_t index : order_of) sorted.push_back(values[index]);
  values = std::move(sorted);
  return {};
}

}  // namespace ollm::text::jinja
