#include "ollm/text/template/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "ollm/text/template/characters.h"
#include "ollm/text/template/operators.h"

namespace ollm::text::jinja {
namespace {

// Below this many keys a look through all of them is faster than an index.
constexpr std::size_t kKeysWithoutIndex = 8;

std::uint64_t mix(std::uint64_t hash, std::uint64_t more) {
  return (hash ^ more) * 0x9E3779B97F4A7C15ull + 0x7F4A7C15;
}

}  // namespace

void Object::charge(Budget* budget, std::size_t bytes) {
  if (budget == nullptr || budget_ != nullptr) return;
  budget_ = budget;
  held_bytes_ = bytes;
  budget->hold(bytes);
}

std::string Object::describe() const {
  switch (kind_) {
    case Kind::generator:
      return "<generator object>";
    case Kind::function:
      return "<function>";
    case Kind::cycler:
      return "<Cycler>";
    case Kind::joiner:
      return "<Joiner>";
    default:
      return "<object>";
  }
}

Value Value::wide(std::uint64_t value) {
  Value result;
  result.kind_ = Kind::wide_integer;
  result.scalar_.wide = value;
  return result;
}

const MarkedText& Value::text() const { return as<StringObject>().text; }
const std::vector<Value>& Value::items() const { return as<SequenceObject>().items; }

StringObject::StringObject(MarkedText value)
    : Object(Kind::string), text(std::move(value)), code_points(count_code_points(text.bytes)) {}

std::optional<std::size_t> DictObject::position(const Value& key, std::uint64_t hash,
                                                Budget* budget) const {
  if (items.size() <= kKeysWithoutIndex) {
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (values_equal(items[i].first, key, budget)) return i;
    }
    return std::nullopt;
  }
  const auto [first, last] = index_.equal_range(hash);
  for (auto entry = first; entry != last; ++entry) {
    if (values_equal(items[entry->second].first, key, budget)) return entry->second;
  }
  return std::nullopt;
}

const Value* DictObject::find(const Value& key, Budget* budget) const {
  const auto hash = hash_of(key, budget);
  if (!hash) return nullptr;
  const auto found = position(key, *hash, budget);
  return found ? &items[*found].second : nullptr;
}

const Value* DictObject::find(std::string_view key) const {
  const auto is_key = [key](const Value& candidate) {
    return candidate.is(Kind::string) && candidate.text().bytes == key;
  };
  if (items.size() <= kKeysWithoutIndex) {
    for (const auto& [name, value] : items) {
      if (is_key(name)) return &value;
    }
    return nullptr;
  }
  const auto [first, last] = index_.equal_range(std::hash<std::string_view>{}(key));
  for (auto entry = first; entry != last; ++entry) {
    if (is_key(items[entry->second].first)) return &items[entry->second].second;
  }
  return nullptr;
}

void DictObject::set(const Value& key, Value value, Budget* budget) {
  const std::uint64_t hash = hash_of(key, budget).value_or(0);
  if (const auto found = position(key, hash, budget)) {
    items[*found].second = std::move(value);
    return;
  }
  items.emplace_back(key, std::move(value));
  if (items.size() == kKeysWithoutIndex + 1) {
    for (std::size_t i = 0; i < items.size(); ++i) {
      index_.emplace(hash_of(items[i].first, budget).value_or(0), i);
    }
  } else if (items.size() > kKeysWithoutIndex) {
    index_.emplace(hash, items.size() - 1);
  }
}

RangeObject::RangeObject(std::int64_t first, std::int64_t end, std::int64_t by)
    : Object(Kind::range), start(first), stop(end), step(by), length(0) {
  const auto low = static_cast<std::uint64_t>(step > 0 ? start : stop);
  const auto high = static_cast<std::uint64_t>(step > 0 ? stop : start);
  const bool empty = step > 0 ? start >= stop : start <= stop;
  const std::uint64_t stride =
      step > 0 ? static_cast<std::uint64_t>(step) : 0 - static_cast<std::uint64_t>(step);
  if (!empty) length = (high - low - 1) / stride + 1;
}

std::int64_t RangeObject::at(std::size_t index) const {
  // Unsigned, as the products in between may be larger than any item.
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(start) +
                                   index * static_cast<std::uint64_t>(step));
}

Value* NamespaceObject::find(std::string_view name) {
  for (auto& [key, value] : attributes) {
    if (key == name) return &value;
  }
  return nullptr;
}

void NamespaceObject::set(std::string_view name, Value value) {
  if (Value* found = find(name)) {
    *found = std::move(value);
  } else {
    attributes.emplace_back(name, std::move(value));
  }
}

void Heap::set_depth(Object& object, std::size_t depth) {
  object.set_depth(depth);
  if (budget_ != nullptr && depth > budget_->limits().value_nesting) {
    budget_->exceed(
        fmt::format("values nested more than {} deep", budget_->limits().value_nesting));
  }
}

Value Heap::string(MarkedText text, bool markup) {
  const std::size_t bytes = text.bytes.capacity() + text.literal.capacity() * sizeof(TextSpan);
  auto object = std::make_shared<StringObject>(std::move(text));
  object->markup = markup;
  return adopt(std::move(object), bytes, 0);
}

Value Heap::string(TextBuilder&& builder, bool markup) { return string(builder.take(), markup); }

Value Heap::bytes(TextBuilder&& builder) {
  MarkedText data = builder.take();
  const std::size_t bytes = data.bytes.capacity() + data.literal.capacity() * sizeof(TextSpan);
  return adopt(std::make_shared<BytesObject>(std::move(data)), bytes, 0);
}

Value Heap::sequence(Kind kind, std::vector<Value> items) {
  std::size_t depth = 0;
  for (const Value& item : items) depth = std::max(depth, item.depth());
  const std::size_t bytes = items.capacity() * sizeof(Value);
  return adopt(std::make_shared<SequenceObject>(kind, std::move(items)), bytes, depth + 1);
}

Value Heap::dict(std::shared_ptr<DictObject> filled) {
  std::size_t depth = 0;
  for (const auto& [key, value] : filled->items) {
    depth = std::max({depth, key.depth(), value.depth()});
  }
  // An entry of the index is a node with hash, position and two pointers.
  const std::size_t bytes = filled->items.capacity() * (2 * sizeof(Value) + 32);
  return adopt(std::move(filled), bytes, depth + 1);
}

Value Heap::undefined(std::string why) {
  const std::size_t bytes = why.capacity();
  return adopt(std::make_shared<UndefinedObject>(std::move(why)), bytes, 0);
}

Value Heap::function(std::string_view name, FunctionObject::Body body, Value self) {
  const std::size_t depth = self.depth() + 1;
  return adopt(std::make_shared<FunctionObject>(name, body, std::move(self)), 0, depth);
}

Value Heap::generator(std::function<Result<std::vector<Value>>()> make, std::size_t depth) {
  return adopt(std::make_shared<GeneratorObject>(std::move(make)), 64, depth + 1);
}

Value Heap::name_space(std::shared_ptr<NamespaceObject> filled) {
  namespaces_.push_back(filled);
  return adopt(std::move(filled), 64, 0);
}

void Heap::cut_cycles() {
  for (const auto& name_space : namespaces_) name_space->attributes.clear();
  namespaces_.clear();
}

std::string_view type_name(const Value& value) {
  switch (value.kind()) {
    case Kind::none:
      return "NoneType";
    case Kind::boolean:
      return "bool";
    case Kind::integer:
    case Kind::wide_integer:
      return "int";
    case Kind::real:
      return "float";
    case Kind::undefined:
      return "Undefined";
    case Kind::string:
      return value.as<StringObject>().markup ? "Markup" : "str";
    case Kind::bytes:
      return "bytes";
    case Kind::list:
      return "list";
    case Kind::tuple:
      return "tuple";
    case Kind::dict:
      return "dict";
    case Kind::range:
      return "range";
    case Kind::dict_view:
      switch (value.as<DictViewObject>().part) {
        case DictViewObject::Part::keys:
          return "dict_keys";
        case DictViewObject::Part::values:
          return "dict_values";
        case DictViewObject::Part::items:
          return "dict_items";
      }
      return "dict_items";
    case Kind::generator:
      return "generator";
    case Kind::name_space:
      return "Namespace";
    case Kind::function:
      return "function";
    case Kind::macro:
      return "Macro";
    case Kind::loop:
      return "LoopContext";
    case Kind::cycler:
      return "Cycler";
    case Kind::joiner:
      return "Joiner";
  }
  return "object";
}

std::optional<std::uint64_t> hash_of(const Value& value, Budget* budget) {
  switch (value.kind()) {
    case Kind::none:
      return 0x6E6F6E65;
    case Kind::boolean:
      return mix(1, value.boolean() ? 1 : 0);
    case Kind::integer:
      return mix(1, static_cast<std::uint64_t>(value.integer()));
    case Kind::wide_integer:
      return mix(1, value.wide_integer());
    case Kind::real: {
      const double number = value.real();
      if (std::trunc(number) == number && std::fabs(number) < 9.2e18) {
        return mix(1, static_cast<std::uint64_t>(static_cast<std::int64_t>(number)));
      }
      return mix(2, std::hash<double>{}(number));
    }
    case Kind::string:
      if (budget != nullptr && value.text().bytes.size() >= 64) {
        budget->spend_bytes(value.text().bytes.size());
      }
      return std::hash<std::string_view>{}(value.text().bytes);
    case Kind::bytes: {
      const std::string& bytes = value.as<BytesObject>().data.bytes;
      if (budget != nullptr) budget->spend_bytes(bytes.size());
      return mix(4, std::hash<std::string_view>{}(bytes));
    }
    case Kind::tuple: {
      std::uint64_t hash = 3;
      for (const Value& item : value.items()) {
        if (budget != nullptr && !budget->spend(1)) return hash;
        const auto part = hash_of(item, budget);
        if (!part) return std::nullopt;
        hash = mix(hash, *part);
      }
      return hash;
    }
    case Kind::undefined:
      return 0x756E6465;
    case Kind::range:
    case Kind::function:
    case Kind::macro:
    case Kind::loop:
    case Kind::cycler:
    case Kind::joiner:
    case Kind::generator:
    case Kind::name_space:
      return std::hash<const void*>{}(value.object().get());
    case Kind::dict_view:
      if (value.as<DictViewObject>().part == DictViewObject::Part::values)
        return std::hash<const void*>{}(value.object().get());
      return std::nullopt;
    case Kind::list:
    case Kind::dict:
      return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace ollm::text::jinja
