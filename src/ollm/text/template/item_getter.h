// `attribute='a.b'`: the way from an item to the part of it that a filter looks at.
// Leaves to others: the filters that take one (filters_sequence.cc, filters_selection.cc).
#pragma once

#include <vector>

#include "ollm/base/result.h"
#include "ollm/text/template/interpreter.h"
#include "ollm/text/template/value.h"

namespace ollm::text::jinja {

/// Looks up a chain of keys in an item: "author.name", "items.0", or a number.
class ItemGetter {
 public:
  /// The item itself where `attribute` is null. `otherwise`, if there is one, stands for what is
  /// undefined.
  ItemGetter(Interpreter& in, const Value* attribute, const Value* otherwise = nullptr);

  /// Errors: invalid_argument, where an undefined part is looked into.
  Result<Value> operator()(Interpreter& in, const Value& item) const;

 private:
  std::vector<Value> keys_;
  Value otherwise_;
  bool has_otherwise_ = false;
};

/// Text in lower case, other values as they are: what sorting compares unless told otherwise.
Value without_case(Interpreter& in, const Value& value);

}  // namespace ollm::text::jinja
