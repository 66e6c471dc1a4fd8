// The filters a template may name, and how one is found and called.
// Leaves to others: tests (predicates.h) and methods (attributes.h).
#pragma once

#include <span>
#include <string_view>

#include "ollm/base/result.h"
#include "ollm/text/template/interpreter.h"
#include "ollm/text/template/value.h"

namespace ollm::text::jinja {

/// `input | name(arguments)`.
struct Filter {
  std::string_view name;
  Result<Value> (*apply)(Interpreter& in, const Value& input, const Arguments& arguments);
};

/// The filter of that name; null where Jinja has none either. Those of Jinja that are not built
/// (urlize, wordwrap, pprint, random) are found, and answer with an error of the kind unsupported.
const Filter* find_filter(std::string_view name);

// Each family of filters in its own file; filters.cc joins them.
std::span<const Filter> text_filters();
std::span<const Filter> sequence_filters();
std::span<const Filter> selection_filters();
std::span<const Filter> number_filters();

}  // namespace ollm::text::jinja
