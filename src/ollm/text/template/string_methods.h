// Python's methods of str, and the operations on marked text that filters share with them.
// Leaves to others: formats (python_format.h) and character classes (characters.h).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/text/template/interpreter.h"
#include "ollm/text/template/value.h"

namespace ollm::text::jinja {

/// The method of str with that name; null where there is none.
FunctionObject::Body string_method(std::string_view name);

enum class CaseForm { upper, lower, capitalize, title, swap, fold };

/// All letters brought into a form; what a user's letter becomes is the user's.
Value with_case(Interpreter& in, const Value& text, CaseForm form);

/// Without the white space (or those of `characters`) at its ends.
Value stripped(Interpreter& in, const Value& text, const Value* characters, bool left, bool right);

/// The bytes [begin, end) of `text`, which must be borders of characters.
Value substring(Interpreter& in, const Value& text, std::size_t begin, std::size_t end);

/// `from` replaced by `to`, at most `count` times where that is not negative.
Value replaced(Interpreter& in, const Value& text, const MarkedText& from, const MarkedText& to,
               std::int64_t count);

/// The lines of `text`, as str.splitlines cuts them.
std::vector<Value> lines_of(Interpreter& in, const Value& text, bool keep_ends);

/// Padded with `fill` to `width` characters; `align` is < > or ^.
Value justified(Interpreter& in, const Value& text, std::int64_t width, std::string_view fill,
                char align);

}  // namespace ollm::text::jinja
