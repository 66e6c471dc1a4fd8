// What a template computes with: Python's values as far as templates meet them, and who owns them.
// Leaves to others: what may be done with them (operators.h, attributes.h) and how they print.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/text/template/limits.h"
#include "ollm/text/template/marked_text.h"

namespace ollm::text::jinja {

enum class Kind : std::uint8_t {
  none,
  boolean,
  integer,       // 64 bits with sign; what leaves them is an error, never a wrap or a float
  wide_integer,  // 2^63 to 2^64-1, as JSON may hold: printed and compared, never computed with
  real,
  // From here on there is an Object.
  undefined,
  string,
  bytes,
  list,
  tuple,
  dict,
  range,
  dict_view,
  generator,
  name_space,
  function,
  macro,
  loop,
  cycler,
  joiner,
};

/// The common part of all values that live on the heap: they are charged to a budget while they
/// live. `depth` counts containers inside each other; bounded, as destruction recurses.
class Object {
 public:
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  virtual ~Object() {
    if (budget_ != nullptr) budget_->release(held_bytes_);
  }

  Kind kind() const { return kind_; }
  std::size_t depth() const { return depth_; }
  void charge(Budget* budget, std::size_t bytes);
  void set_depth(std::size_t depth) { depth_ = depth; }
  /// How it prints, for kinds without a literal form: "<Macro 'm'>".
  virtual std::string describe() const;

 protected:
  explicit Object(Kind kind) : kind_(kind) {}

 private:
  Kind kind_;
  std::size_t depth_ = 0;
  std::size_t held_bytes_ = 0;
  Budget* budget_ = nullptr;  // none for constants of a compiled template
};

struct StringObject;
struct SequenceObject;
struct DictObject;
struct UndefinedObject;

/// One value. Cheap to copy: strings and containers are shared (by reference count, as closures,
/// loops and containers hold the same value in no order of their own) and constant once made.
class Value {
 public:
  Value() = default;
  explicit Value(bool value) : kind_(Kind::boolean) { scalar_.boolean = value; }
  explicit Value(std::int64_t value) : kind_(Kind::integer) { scalar_.integer = value; }
  explicit Value(double value) : kind_(Kind::real) { scalar_.real = value; }
  explicit Value(std::shared_ptr<Object> object)
      : kind_(object->kind()), object_(std::move(object)) {}
  static Value wide(std::uint64_t value);
  static Value count(std::size_t value) { return Value(static_cast<std::int64_t>(value)); }

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_number() const { return kind_ >= Kind::boolean && kind_ <= Kind::real; }

  bool boolean() const { return scalar_.boolean; }
  std::int64_t integer() const { return scalar_.integer; }
  std::uint64_t wide_integer() const { return scalar_.wide; }
  double real() const { return scalar_.real; }

  template <typename T>
  T& as() const {
    return static_cast<T&>(*object_);
  }
  const MarkedText& text() const;
  const std::vector<Value>& items() const;
  const std::shared_ptr<Object>& object() const { return object_; }
  std::size_t depth() const { return object_ ? object_->depth() : 0; }

 private:
  Kind kind_ = Kind::none;
  union {
    bool boolean;
    std::int64_t integer;
    std::uint64_t wide;
    double real;
  } scalar_{.wide = 0};
  std::shared_ptr<Object> object_;
};

/// A missing name, attribute or item. Prints as nothing; most uses of it are an error that says
/// what was missing.
struct UndefinedObject : Object {
  explicit UndefinedObject(std::string why) : Object(Kind::undefined), message(std::move(why)) {}
  std::string message;
};

struct StringObject : Object {
  explicit StringObject(MarkedText value);
  MarkedText text;
  std::size_t code_points;
  bool markup = false;  // made by `safe` or `escape`: what is added to it gets escaped

  bool is_ascii() const { return code_points == text.bytes.size(); }
};

/// What str.encode gives. The marks are those of its bytes.
struct BytesObject : Object {
  explicit BytesObject(MarkedText value) : Object(Kind::bytes), data(std::move(value)) {}
  MarkedText data;  // any bytes, not UTF-8
};

/// A list or a tuple.
struct SequenceObject : Object {
  SequenceObject(Kind kind, std::vector<Value> values) : Object(kind), items(std::move(values)) {}
  std::vector<Value> items;
  bool is_group = false;  // of `groupby`: the two items are also .grouper and .list
};

/// Keys keep the order in which they first came. Keys are strings, numbers, None or tuples.
struct DictObject : Object {
  DictObject() : Object(Kind::dict) {}

  /// The value of an equal key, or nothing. The work is charged to `budget`, if there is one.
  const Value* find(const Value& key, Budget* budget) const;
  const Value* find(std::string_view key) const;
  /// Sets or replaces; `key` must be hashable (see `hash_of`).
  void set(const Value& key, Value value, Budget* budget);

  std::vector<std::pair<Value, Value>> items;

 private:
  std::optional<std::size_t> position(const Value& key, std::uint64_t hash, Budget* budget) const;

  // Filled once there are more than a few keys: hash to position.
  std::unordered_multimap<std::uint64_t, std::size_t> index_;
};

struct RangeObject : Object {
  RangeObject(std::int64_t first, std::int64_t end, std::int64_t by);
  std::int64_t at(std::size_t index) const;
  std::int64_t start, stop, step;
  std::size_t length;
};

/// What keys(), values() and items() give: prints as its own kind, counts, iterates.
struct DictViewObject : Object {
  enum class Part { keys, values, items };
  DictViewObject(Value owner, Part shown)
      : Object(Kind::dict_view), dict(std::move(owner)), part(shown) {}
  Value dict;
  Part part;
};

/// The result of map, select and the like: made when first asked for, used up by who iterates it,
/// without a length, and true even when nothing comes.
struct GeneratorObject : Object {
  explicit GeneratorObject(std::function<Result<std::vector<Value>>()> maker)
      : Object(Kind::generator), make(std::move(maker)) {}
  std::function<Result<std::vector<Value>>()> make;
  std::vector<Value> items;
  std::size_t next = 0;
};

/// The only value that a template can change. Cycles through it are cut when the rendering ends.
struct NamespaceObject : Object {
  NamespaceObject() : Object(Kind::name_space) {}
  Value* find(std::string_view name);
  void set(std::string_view name, Value value);
  std::vector<std::pair<std::string, Value>> attributes;
};

struct CyclerObject : Object {
  explicit CyclerObject(std::vector<Value> values)
      : Object(Kind::cycler), items(std::move(values)) {}
  std::vector<Value> items;
  std::size_t position = 0;
};

struct JoinerObject : Object {
  explicit JoinerObject(Value between) : Object(Kind::joiner), separator(std::move(between)) {}
  Value separator;
  bool used = false;
};

/// What was passed to a callable, a filter or a test.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

class Interpreter;

/// A global function, or a method bound to its object.
struct FunctionObject : Object {
  using Body = Result<Value> (*)(Interpreter&, const Value& self, const Arguments&);
  FunctionObject(std::string_view called, Body does, Value owner)
      : Object(Kind::function), name(called), body(does), self(std::move(owner)) {}
  std::string name;
  Body body;
  Value self;
};

/// Makes values and charges them to the budget.
class Heap {
 public:
  explicit Heap(Budget* budget) : budget_(budget) {}

  Value string(MarkedText text, bool markup = false);
  Value string(std::string_view text) { return string(MarkedText{std::string(text), {}}); }
  Value string(TextBuilder&& builder, bool markup = false);
  Value bytes(TextBuilder&& builder);
  Value list(std::vector<Value> items) { return sequence(Kind::list, std::move(items)); }
  Value tuple(std::vector<Value> items) { return sequence(Kind::tuple, std::move(items)); }
  Value sequence(Kind kind, std::vector<Value> items);
  /// Takes over a dict that was filled by `set`.
  Value dict(std::shared_ptr<DictObject> filled);
  Value undefined(std::string why);
  Value function(std::string_view name, FunctionObject::Body body, Value self = {});
  Value generator(std::function<Result<std::vector<Value>>()> make, std::size_t depth);
  Value name_space(std::shared_ptr<NamespaceObject> filled);

  /// Charges an object of another kind.
  template <typename T>
  Value adopt(std::shared_ptr<T> object, std::size_t bytes, std::size_t depth) {
    object->charge(budget_, sizeof(T) + bytes);
    set_depth(*object, depth);
    return Value(std::move(object));
  }

  /// A builder that stops where memory would.
  TextBuilder builder() const {
    return TextBuilder(budget_ != nullptr ? budget_->room_bytes() : std::string::npos, budget_);
  }
  Budget* budget() const { return budget_; }

  /// Namespaces outlive their last use here, so that chains and cycles of them are cut one by one.
  void cut_cycles();

 private:
  void set_depth(Object& object, std::size_t depth);

  Budget* budget_;  // none where constants of a template are made
  std::vector<std::shared_ptr<NamespaceObject>> namespaces_;
};

/// Python's name of the type: "str", "NoneType", …
std::string_view type_name(const Value& value);

/// Equal keys have equal hashes (1, 1.0 and True are one key). Nothing for lists, dicts and
/// whatever else cannot be a key. The work is charged to `budget`, if there is one.
std::optional<std::uint64_t> hash_of(const Value& value, Budget* budget);

}  // namespace ollm::text::jinja
