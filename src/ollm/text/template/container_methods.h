// Python's methods of list, tuple, range, dict and numbers, as far as the sandbox lets them be
// called. Leaves to others: methods of text (string_methods.h) and those that change their object.
#pragma once

#include <string_view>

#include "ollm/base/result.h"
#include "ollm/text/template/interpreter.h"
#include "ollm/text/template/value.h"

namespace ollm::text::jinja {

/// The method with that name; null where there is none.
FunctionObject::Body sequence_method(Kind kind, std::string_view name);
FunctionObject::Body dict_method(std::string_view name);
FunctionObject::Body number_method(Kind kind, std::string_view name);
FunctionObject::Body cycler_method(std::string_view name);
/// dict.fromkeys: the one attribute of a function that templates meet.
FunctionObject::Body function_method(const Value& function, std::string_view name);

/// A dict from pairs, or from another dict; into `out`. Errors: invalid_argument, as dict() has.
Result<void> fill_dict(Interpreter& in, DictObject& out, const Value& source);

}  // namespace ollm::text::jinja
