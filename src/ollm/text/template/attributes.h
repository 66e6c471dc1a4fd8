// What `a.b`, `a[b]` and `a[b:c]` give: methods and attributes of the sandbox, items, slices.
// Leaves to others: what the methods do (string_methods.cc, container_methods.cc).
#pragma once

#include <string_view>

#include "ollm/base/result.h"
#include "ollm/text/template/interpreter.h"
#include "ollm/text/template/value.h"

namespace ollm::text::jinja {

/// `object.name`: a method or attribute, else the item of that name, else undefined. What would
/// change an object, and names with underscores in front, are undefined with their own message.
/// Errors: invalid_argument, where `object` is itself undefined.
Result<Value> attribute_of(Interpreter& in, const Value& object, std::string_view name);

/// `object[key]`: the item, else for a text key the attribute, else undefined. Errors: as above.
Result<Value> item_of(Interpreter& in, const Value& object, const Value& key);

/// `object[start:stop:step]`, each of them None where it is left out.
/// Errors: invalid_argument for what cannot be cut, and steps of zero.
Result<Value> slice_of(Interpreter& in, const Value& object, const Value& start, const Value& stop,
                       const Value& step);

/// The method of that name, to be called with `object` as its self; nothing where there is none.
FunctionObject::Body method_of(const Value& object, std::string_view name);

}  // namespace ollm::text::jinja
