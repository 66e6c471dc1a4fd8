#include "ollm/text/template/container_methods.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "ollm/text/template/arguments.h"
#include "ollm/text/template/globals.h"
#include "ollm/text/template/operators.h"
#include "ollm/text/template/python_format.h"

namespace ollm::text::jinja {
namespace {

Result<Value> index(Interpreter& in, const Value& self, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("index", arguments, {"value", "start", "stop"}, 1));
  OLLM_TRY(const Items items, items_of(in, self));
  const auto size = static_cast<std::int64_t>(items.size());
  OLLM_TRY(std::int64_t start, bound.whole(1, 0));
  OLLM_TRY(std::int64_t stop, bound.whole(2, size));
  if (start < 0) start = std::max<std::int64_t>(0, start + size);
  if (stop < 0) stop += size;
  for (std::int64_t i = start; i < std::min(stop, size); ++i) {
    if (!in.budget().spend(1)) break;
    const auto at = static_cast<std::size_t>(i);
    if (values_equal(items[at], *bound[0], &in.budget())) return Value(i);
  }
  TextBuilder shown = in.heap().builder();
  append_repr(in, shown, *bound[0]);
  return runtime_error(fmt::format("{} is not in {}", shown.text().bytes, type_name(self)));
}

Result<Value> count(Interpreter& in, const Value& self, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("count", arguments, {"value"}, 1));
  OLLM_TRY(const Items items, items_of(in, self));
  std::size_t found = 0;
  for (const Value& item : items) {
    if (!in.budget().spend(1)) break;
    if (values_equal(item, *bound[0], &in.budget())) ++found;
  }
  return Value::count(found);
}

// Values do not change, so a copy is the value itself.
Result<Value> copy(Interpreter& /*in*/, const Value& self, const Arguments& arguments) {
  OLLM_TRY_VOID(bind("copy", arguments, {}, 0));
  return self;
}

Result<Value> get(Interpreter& in, const Value& self, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("get", arguments, {"key", "default"}, 1));
  if (!hash_of(*bound[0], &in.budget())) {
    return runtime_error(fmt::format("unhashable type: '{}'", type_name(*bound[0])));
  }
  if (const Value* found = self.as<DictObject>().find(*bound[0], &in.budget())) return *found;
  return bound.has(1) ? *bound[1] : Value();
}

template <DictViewObject::Part part>
Result<Value> view(Interpreter& in, const Value& self, const Arguments& arguments) {
  OLLM_TRY_VOID(bind("dict method", arguments, {}, 0));
  return in.heap().adopt(std::make_shared<DictViewObject>(self, part), 0, self.depth() + 1);
}

Result<Value> from_keys(Interpreter& in, const Value& /*self*/, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("fromkeys", arguments, {"iterable", "value"}, 1));
  OLLM_TRY(const Items keys, items_of(in, *bound[0]));
  auto dict = std::make_shared<DictObject>();
  for (const Value& key : keys) {
    if (!in.budget().spend(1)) break;
    if (!hash_of(key, &in.budget())) {
      return runtime_error(fmt::format("unhashable type: '{}'", type_name(key)));
    }
    dict->set(key, bound.has(1) ? *bound[1] : Value(), &in.budget());
  }
  return in.heap().dict(std::move(dict));
}

Result<Value> is_integer(Interpreter& /*in*/, const Value& self, const Arguments& arguments) {
  OLLM_TRY_VOID(bind("is_integer", arguments, {}, 0));
  return Value(std::isfinite(self.real()) && std::trunc(self.real()) == self.real());
}

Result<Value> conjugate(Interpreter& /*in*/, const Value& self, const Arguments& arguments) {
  OLLM_TRY_VOID(bind("conjugate", arguments, {}, 0));
  return unary_plus(self);
}

Result<Value> bit_length(Interpreter& /*in*/, const Value& self, const Arguments& arguments) {
  OLLM_TRY_VOID(bind("bit_length", arguments, {}, 0));
  OLLM_TRY(const std::int64_t value, as_index(self));
  std::uint64_t magnitude =
      value < 0 ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
  std::int64_t bits = 0;
  for (; magnitude != 0; magnitude >>= 1) ++bits;
  return Value(bits);
}

// Of whole numbers, those that are one with the denominator 1.
Result<Value> as_integer_ratio(Interpreter& in, const Value& self, const Arguments& arguments) {
  OLLM_TRY_VOID(bind("as_integer_ratio", arguments, {}, 0));
  OLLM_TRY(const std::int64_t value, as_index(self));
  return in.heap().tuple({Value(value), Value(std::int64_t{1})});
}

Result<Value> bit_count(Interpreter& /*in*/, const Value& self, const Arguments& arguments) {
  OLLM_TRY_VOID(bind("bit_count", arguments, {}, 0));
  OLLM_TRY(const std::int64_t value, as_index(self));
  const std::uint64_t magnitude =
      value < 0 ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
  return Value(std::int64_t{std::popcount(magnitude)});
}

Result<Value> cycler_next(Interpreter& /*in*/, const Value& self, const Arguments& arguments) {
  OLLM_TRY_VOID(bind("next", arguments, {}, 0));
  auto& cycler = self.as<CyclerObject>();
  return cycler.items[cycler.position++ % cycler.items.size()];
}

Result<Value> cycler_reset(Interpreter& /*in*/, const Value& self, const Arguments& arguments) {
  OLLM_TRY_VOID(bind("reset", arguments, {}, 0));
  self.as<CyclerObject>().position = 0;
  return Value();
}

}  // namespace

FunctionObject::Body sequence_method(Kind kind, std::string_view name) {
  if (name == "index") return &index;
  if (name == "count") return &count;
  if (name == "copy" && kind == Kind::list) return &copy;
  return nullptr;
}

FunctionObject::Body dict_method(std::string_view name) {
  if (name == "get") return &get;
  if (name == "items") return &view<DictViewObject::Part::items>;
  if (name == "keys") return &view<DictViewObject::Part::keys>;
  if (name == "values") return &view<DictViewObject::Part::values>;
  if (name == "copy") return &copy;
  if (name == "fromkeys") return &from_keys;
  return nullptr;
}

FunctionObject::Body number_method(Kind kind, std::string_view name) {
  if (name == "conjugate") return &conjugate;
  if (name == "is_integer" && kind == Kind::real) return &is_integer;
  if (kind == Kind::real) return nullptr;
  if (name == "bit_length") return &bit_length;
  if (name == "bit_count") return &bit_count;
  if (name == "as_integer_ratio") return &as_integer_ratio;
  return nullptr;
}

FunctionObject::Body cycler_method(std::string_view name) {
  if (name == "next") return &cycler_next;
  if (name == "reset") return &cycler_reset;
  return nullptr;
}

FunctionObject::Body function_method(const Value& function, std::string_view name) {
  if (name == "fromkeys" && is_dict_type(function)) return &from_keys;
  return nullptr;
}

Result<void> fill_dict(Interpreter& in, DictObject& out, const Value& source) {
  if (source.is(Kind::dict)) {
    for (const auto& [key, value] : source.as<DictObject>().items) {
      if (!in.budget().spend(3)) return {};  // it is copied, and later destroyed
      out.set(key, value, &in.budget());
    }
    return {};
  }
  if (source.is(Kind::undefined)) return undefined_error(source);
  OLLM_TRY(const Items pairs, items_of(in, source));
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    if (!in.budget().spend(1)) return {};
    if (!is_iterable(pairs[i])) {
      return runtime_error(
          fmt::format("cannot convert dictionary update sequence element #{} to a sequence", i));
    }
    OLLM_TRY(const Items pair, items_of(in, pairs[i]));
    if (pair.size() != 2) {
      return runtime_error(fmt::format(
          "dictionary update sequence element #{} has length {}; 2 is required", i, pair.size()));
    }
    if (!hash_of(pair[0], &in.budget())) {
      return runtime_error(fmt::format("unhashable type: '{}'", type_name(pair[0])));
    }
    out.set(pair[0], pair[1], &in.budget());
  }
  return {};
}

}  // namespace ollm::text::jinja
