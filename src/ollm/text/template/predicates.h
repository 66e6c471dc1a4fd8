// The tests a template may name (`x is defined`), and how one is found and asked.
// Leaves to others: filters (filters.h) and the operators that some tests stand for (operators.h).
#pragma once

#include <string_view>

#include "ollm/base/result.h"
#include "ollm/text/template/interpreter.h"
#include "ollm/text/template/value.h"

namespace ollm::text::jinja {

/// `input is name(arguments)`.
struct Predicate {
  std::string_view name;
  Result<bool> (*holds)(Interpreter& in, const Value& input, const Arguments& arguments);
};

/// The test of that name; null where Jinja has none.
const Predicate* find_predicate(std::string_view name);

}  // namespace ollm::text::jinja
