// Filters that call another filter or a test for each item: map, select, reject and theirs.
// Leaves to others: filters that look at the items themselves (filters_sequence.cc).
#include <fmt/format.h>

#include "ollm/text/template/filters.h"
#include "ollm/text/template/item_getter.h"
#include "ollm/text/template/operators.h"
#include "ollm/text/template/predicates.h"

namespace ollm::text::jinja {
namespace {

std::size_t depth_of(const Value& input, const Arguments& arguments) {
  std::size_t depth = input.depth();
  for (const Value& value : arguments.positional) depth = std::max(depth, value.depth());
  for (const auto& [name, value] : arguments.named) depth = std::max(depth, value.depth());
  return depth;
}

// The name of a filter or test, taken off the front of the arguments.
Result<std::string> taken_name(Arguments& arguments, std::string_view what) {
  if (arguments.positional.empty()) {
    return runtime_error(fmt::format("{} requires the name of a filter or test", what));
  }
  if (!arguments.positional.front().is(Kind::string)) {
    return runtime_error(fmt::format("{}: a filter or test is named by text, not by {}", what,
                                     type_name(arguments.positional.front())));
  }
  std::string name = arguments.positional.front().text().bytes;
  arguments.positional.erase(arguments.positional.begin());
  return name;
}

Result<std::vector<Value>> mapped(Interpreter& in, const Value& input, Arguments arguments) {
  std::vector<Value> out;
  if (!truth(input)) return out;  // whatever it is
  OLLM_TRY(const Items items, items_of(in, input));
  if (arguments.positional.empty() && !arguments.named.empty()) {
    const Value* attribute = nullptr;
    const Value* otherwise = nullptr;
    for (const auto& [name, value] : arguments.named) {
      if (name == "attribute") {
        attribute = &value;
      } else if (name == "default") {
        otherwise = &value;
      } else {
        return runtime_error(fmt::format("Unexpected keyword argument '{}'", name));
      }
    }
    if (attribute != nullptr) {
      const ItemGetter getter(in, attribute, otherwise);
      for (const Value& item : items) {
        if (!in.budget().spend(1)) break;
        OLLM_TRY(Value value, getter(in, item));
        out.push_back(std::move(value));
      }
      return out;
    }
  }
  OLLM_TRY(const std::string name, taken_name(arguments, "map"));
  const Filter* filter = find_filter(name);
  if (filter == nullptr) return runtime_error(fmt::format("No filter named '{}'.", name));
  for (const Value& item : items) {
    if (!in.budget().spend(1)) break;
    OLLM_TRY(Value value, filter->apply(in, item, arguments));
    out.push_back(std::move(value));
  }
  return out;
}

Result<std::vector<Value>> selected(Interpreter& in, const Value& input, Arguments arguments,
                                    bool keep, bool by_attribute) {
  std::vector<Value> out;
  if (!truth(input)) return out;
  OLLM_TRY(const Items items, items_of(in, input));
  Value attribute;
  if (by_attribute) {
    if (arguments.positional.empty()) {
      return runtime_error("Missing parameter for attribute name");
    }
    attribute = arguments.positional.front();
    arguments.positional.erase(arguments.positional.begin());
  }
  const ItemGetter getter(in, by_attribute ? &attribute : nullptr);
  const Predicate* predicate = nullptr;
  if (!arguments.positional.empty()) {
    OLLM_TRY(const std::string name, taken_name(arguments, "select"));
    predicate = find_predicate(name);
    if (predicate == nullptr) return runtime_error(fmt::format("No test named '{}'.", name));
  }
  for (const Value& item : items) {
    if (!in.budget().spend(1)) break;
    OLLM_TRY(const Value value, getter(in, item));
    bool holds = truth(value);
    if (predicate != nullptr) {
      OLLM_TRY(holds, predicate->holds(in, value, arguments));
    }
    if (holds == keep) out.push_back(item);
  }
  return out;
}

Result<Value> map(Interpreter& in, const Value& input, const Arguments& arguments) {
  return in.heap().generator([&in, input, arguments] { return mapped(in, input, arguments); },
                             depth_of(input, arguments));
}

template <bool keep, bool by_attribute>
Result<Value> select(Interpreter& in, const Value& input, const Arguments& arguments) {
  return in.heap().generator(
      [&in, input, arguments] { return selected(in, input, arguments, keep, by_attribute); },
      depth_of(input, arguments));
}

constexpr Filter kFilters[] = {
    {"map", &map},
    {"select", &select<true, false>},
    {"reject", &select<false, false>},
    {"selectattr", &select<true, true>},
    {"rejectattr", &select<false, true>},
};

}  // namespace

std::span<const Filter> selection_filters() { return kFilters; }

}  // namespace ollm::text::jinja
