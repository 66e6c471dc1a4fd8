// The functions every template can call: range, dict, namespace, raise_exception, strftime_now, …
// Leaves to others: variables of the conversation, which hide a function of the same name.
#pragma once

#include <string_view>

#include "ollm/text/template/interpreter.h"
#include "ollm/text/template/value.h"

namespace ollm::text::jinja {

/// The global of that name; null where there is none. lipsum, which makes up text by chance, is
/// found and answers with an error of the kind unsupported.
FunctionObject::Body global_function(std::string_view name);

/// Whether a function is `dict`, a type, which has a method of its own.
bool is_dict_type(const Value& function);

}  // namespace ollm::text::jinja
