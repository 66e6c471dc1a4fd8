// Python's str.translate and str.maketrans.
// Leaves to others: the other methods of str (string_methods.h).
#pragma once

#include "ollm/base/result.h"
#include "ollm/text/template/interpreter.h"
#include "ollm/text/template/value.h"

namespace ollm::text::jinja {

/// Every character by what the table has under its number: another number or text in its place,
/// None for nothing, itself where the table has nothing. What stands for a user's character is the
/// user's. Errors: invalid_argument as Python's; unsupported for a surrogate, which UTF-8 lacks.
Result<Value> translate(Interpreter& in, const Value& self, const Arguments& arguments);

/// A table for it, from a dict, or from two or three texts. Errors: invalid_argument.
Result<Value> maketrans(Interpreter& in, const Value& self, const Arguments& arguments);

}  // namespace ollm::text::jinja
