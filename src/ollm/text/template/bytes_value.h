// Python's bytes, as far as templates meet them: what str.encode gives, its methods, and back.
// Leaves to others: operators and printing of values in general, which ask here for bytes.
#pragma once

#include <string_view>

#include "ollm/base/result.h"
#include "ollm/text/template/interpreter.h"
#include "ollm/text/template/value.h"

namespace ollm::text::jinja {

/// str.encode. Built are utf-8, utf-8-sig, ascii, latin-1, utf-16 and utf-32 (each also -le and
/// -be) under all their names; a byte of a user's character is the user's.
/// Errors: invalid_argument as Python's; unsupported for other encodings.
Result<Value> encode_text(Interpreter& in, const Value& self, const Arguments& arguments);

/// The method of bytes with that name; null where there is none.
FunctionObject::Body bytes_method(std::string_view name);

/// Appends repr(bytes), which is also str(bytes): b'a\xc3'.
void append_bytes_repr(Interpreter& in, TextBuilder& out, const MarkedText& data);

}  // namespace ollm::text::jinja
