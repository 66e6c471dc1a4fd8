// How Python writes values as text: str, repr, `%`, str.format and json.dumps.
// Leaves to others: which filter or operator asks for it, and with which arguments.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "ollm/base/result.h"
#include "ollm/text/template/interpreter.h"
#include "ollm/text/template/value.h"

namespace ollm::text::jinja {

/// Appends str(value) or repr(value); bytes of a user stay marked, escaped ones too. Stops in the
/// middle, with the budget exceeded, where a value is large beyond its memory (shared parts).
void append_str(Interpreter& in, TextBuilder& out, const Value& value);
void append_repr(Interpreter& in, TextBuilder& out, const Value& value);

/// str(value) as a value; a string is itself.
Value str_of(Interpreter& in, const Value& value);
/// repr of a piece of text, for error messages.
std::string quoted(std::string_view text);

/// The shortest digits that read back as the same double, in Python's form: 1.0, 1e+16, inf.
std::string real_repr(double value);

/// Appends `text` with & < > " ' escaped as markupsafe does.
void append_escaped(TextBuilder& out, const MarkedText& text);

/// `format % values`. Errors: invalid_argument as Python's TypeError, ValueError and KeyError;
/// unsupported for precisions above 1000.
Result<Value> percent_format(Interpreter& in, const Value& format, const Value& values);

/// str.format in the sandbox: attributes of arguments are those a template can reach.
Result<Value> brace_format(Interpreter& in, const Value& format, const Arguments& arguments);
/// str.format_map: fields by name alone, which are items of `mapping`. A format without fields asks
/// nothing of it.
Result<Value> brace_format_map(Interpreter& in, const Value& format, const Value& mapping);

/// Arguments of json.dumps as Transformers' `tojson` passes them on.
struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  std::optional<std::string> indent;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};

/// Errors: invalid_argument for what JSON cannot hold.
Result<Value> to_json(Interpreter& in, const Value& value, const JsonStyle& style);

}  // namespace ollm::text::jinja
