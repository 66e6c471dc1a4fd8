// Python's methods of str that look for something: find, count, split, partition, startswith, …
// Leaves to others: methods that make new text (string_methods.h).
#pragma once

#include <string_view>

#include "ollm/text/template/value.h"

namespace ollm::text::jinja {

/// The searching method of str with that name; null where there is none.
FunctionObject::Body search_method(std::string_view name);

}  // namespace ollm::text::jinja
