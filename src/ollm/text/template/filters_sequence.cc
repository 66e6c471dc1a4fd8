// Filters on lists, dicts and other iterables: join, sort, first, unique, groupby, …
// Leaves to others: filters that call filters or tests for each item (filters_selection.cc).
#include <fmt/format.h>

#include <algorithm>

#include "ollm/text/template/arguments.h"
#include "ollm/text/template/attributes.h"
#include "ollm/text/template/filters.h"
#include "ollm/text/template/item_getter.h"
#include "ollm/text/template/operators.h"
#include "ollm/text/template/python_format.h"

namespace ollm::text::jinja {
namespace {

Result<Value> length(Interpreter& /*in*/, const Value& input, const Arguments& arguments) {
  OLLM_TRY_VOID(bind("length", arguments, {}, 0));
  OLLM_TRY(const std::size_t size, length_of(input));
  return Value::count(size);
}

Result<Value> list(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY_VOID(bind("list", arguments, {}, 0));
  if (input.is(Kind::list)) return input;
  OLLM_TRY(Items items, items_of(in, input));
  return in.heap().list(std::move(items).to_vector());
}

Result<Value> first(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY_VOID(bind("first", arguments, {}, 0));
  if (input.is(Kind::string) && !input.text().bytes.empty()) {
    return item_of(in, input, Value(std::int64_t{0}));
  }
  OLLM_TRY(const Items items, items_of(in, input));
  if (items.size() == 0) return in.heap().undefined("No first item, sequence was empty.");
  return items[0];
}

Result<Value> last(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY_VOID(bind("last", arguments, {}, 0));
  if (input.is(Kind::generator)) return runtime_error("'generator' object is not reversible");
  if (input.is(Kind::string) && !input.text().bytes.empty()) {
    return item_of(in, input, Value(std::int64_t{-1}));
  }
  OLLM_TRY(const Items items, items_of(in, input));
  if (items.size() == 0) return in.heap().undefined("No last item, sequence was empty.");
  return items[items.size() - 1];
}

Result<Value> reverse(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY_VOID(bind("reverse", arguments, {}, 0));
  if (input.is(Kind::string)) {
    return slice_of(in, input, Value(), Value(), Value(std::int64_t{-1}));
  }
  if (!is_iterable(input)) return runtime_error("argument must be iterable");
  OLLM_TRY(Items items, items_of(in, input));
  std::vector<Value> values = std::move(items).to_vector();
  std::reverse(values.begin(), values.end());
  if (input.is(Kind::generator)) return in.heap().list(std::move(values));
  return in.heap().generator([values]() -> Result<std::vector<Value>> { return values; },
                             input.depth());
}

Result<Value> join(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("join", arguments, {"d", "attribute"}, 0));
  OLLM_TRY(const Items items, items_of(in, input));
  const ItemGetter getter(in, bound.given(1));
  const Value separator = bound.has(0) ? str_of(in, *bound[0]) : in.heap().string("");
  TextBuilder out = in.heap().builder();
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!in.budget().spend(1) || out.overflowed()) break;
    if (i > 0) out.append(separator.text());
    OLLM_TRY(const Value item, getter(in, items[i]));
    append_str(in, out, item);
  }
  in.budget().spend_bytes(out.size());
  return in.heap().string(std::move(out));
}

Result<Value> fallback(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("default", arguments, {"default_value", "boolean"}, 0));
  if (!input.is(Kind::undefined) && !(bound.flag(1, false) && !truth(input))) return input;
  return bound.has(0) ? *bound[0] : in.heap().string("");
}

Result<Value> items(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY_VOID(bind("items", arguments, {}, 0));
  return in.heap().generator(
      [&in, input]() -> Result<std::vector<Value>> {
        std::vector<Value> pairs;
        if (input.is(Kind::undefined)) return pairs;
        if (!input.is(Kind::dict)) {
          return runtime_error("Can only get item pairs from a mapping.");
        }
        for (const auto& [key, value] : input.as<DictObject>().items) {
          if (!in.budget().spend(1)) break;
          pairs.push_back(in.heap().tuple({key, value}));
        }
        return pairs;
      },
      input.depth());
}

Result<Value> dictsort(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound,
           bind("dictsort", arguments, {"case_sensitive", "by", "reverse"}, 0));
  if (input.is(Kind::undefined)) return undefined_error(input);
  if (!input.is(Kind::dict)) {
    return runtime_error(fmt::format("'{}' object has no attribute 'items'", type_name(input)));
  }
  const std::string by = !bound.has(1)                ? "key"
                         : bound[1]->is(Kind::string) ? bound[1]->text().bytes
                                                      : "";
  if (by != "key" && by != "value") {
    return runtime_error("You can only sort by either \"key\" or \"value\"");
  }
  std::vector<Value> pairs;
  std::vector<Value> keys;
  for (const auto& [key, value] : input.as<DictObject>().items) {
    if (!in.budget().spend(1)) break;
    const Value& sorted_by = by == "key" ? key : value;
    keys.push_back(bound.flag(0, false) ? sorted_by : without_case(in, sorted_by));
    pairs.push_back(in.heap().tuple({key, value}));
  }
  OLLM_TRY_VOID(sort_by(in, pairs, keys, bound.flag(2, false)));
  return in.heap().list(std::move(pairs));
}

// The keys to sort by: several attributes, separated by commas, in a list.
Result<std::vector<Value>> sort_keys(Interpreter& in, const Items& items, const Value* attribute,
                                     bool case_sensitive) {
  std::vector<ItemGetter> getters;
  if (attribute != nullptr && attribute->is(Kind::string)) {
    std::string_view rest = attribute->text().bytes;
    for (;;) {
      const std::size_t comma = rest.find(',');
      const Value part = in.heap().string(rest.substr(0, comma));
      getters.emplace_back(in, &part);
      if (comma == std::string_view::npos || !in.budget().spend(1)) break;
      rest.remove_prefix(comma + 1);
    }
  } else {
    getters.emplace_back(in, attribute);
  }
  std::vector<Value> keys;
  for (const Value& item : items) {
    std::vector<Value> parts;
    for (const ItemGetter& getter : getters) {
      if (!in.budget().spend(1)) return keys;
      OLLM_TRY(const Value part, getter(in, item));
      parts.push_back(case_sensitive ? part : without_case(in, part));
    }
    keys.push_back(in.heap().list(std::move(parts)));
  }
  return keys;
}

Result<Value> sort(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound,
           bind("sort", arguments, {"reverse", "case_sensitive", "attribute"}, 0));
  OLLM_TRY(Items items, items_of(in, input));
  OLLM_TRY(const std::vector<Value> keys,
           sort_keys(in, items, bound.given(2), bound.flag(1, false)));
  std::vector<Value> values = std::move(items).to_vector();
  if (keys.size() < values.size()) return Value();  // the budget ended
  OLLM_TRY_VOID(sort_by(in, values, keys, bound.flag(0, false)));
  return in.heap().list(std::move(values));
}

Result<std::vector<Value>> unique_items(Interpreter& in, const Value& input,
                                        const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound,
           bind("unique", arguments, {"case_sensitive", "attribute"}, 0));
  OLLM_TRY(const Items items, items_of(in, input));
  const ItemGetter getter(in, bound.given(1));
  std::vector<Value> out;
  DictObject seen;
  for (const Value& item : items) {
    if (!in.budget().spend(1)) break;
    OLLM_TRY(Value key, getter(in, item));
    if (!bound.flag(0, false)) key = without_case(in, key);
    if (!hash_of(key, &in.budget())) {
      return runtime_error(fmt::format("unhashable type: '{}'", type_name(key)));
    }
    if (seen.find(key, &in.budget()) != nullptr) continue;
    seen.set(key, Value(), &in.budget());
    out.push_back(item);
  }
  return out;
}

Result<Value> unique(Interpreter& in, const Value& input, const Arguments& arguments) {
  return in.heap().generator([&in, input, arguments] { return unique_items(in, input, arguments); },
                             input.depth());
}

template <Comparison better>
Result<Value> extreme(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("min", arguments, {"case_sensitive", "attribute"}, 0));
  OLLM_TRY(const Items items, items_of(in, input));
  if (items.size() == 0) return in.heap().undefined("No aggregated item, sequence was empty.");
  const ItemGetter getter(in, bound.given(1));
  std::size_t best = 0;
  Value best_key;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!in.budget().spend(1)) break;
    OLLM_TRY(Value key, getter(in, items[i]));
    if (!bound.flag(0, false)) key = without_case(in, key);
    bool is_better = i == 0;
    if (i > 0) {
      OLLM_TRY(is_better, compare(in, better, key, best_key));
    }
    if (is_better) {
      best = i;
      best_key = std::move(key);
    }
  }
  return items[best];
}

Result<Value> sum(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("sum", arguments, {"attribute", "start"}, 0));
  OLLM_TRY(const Items items, items_of(in, input));
  const ItemGetter getter(in, bound.given(0));
  Value total = bound.has(1) ? *bound[1] : Value(std::int64_t{0});
  if (total.is(Kind::string)) {
    return runtime_error("sum() can't sum strings [use ''.join(seq) instead]");
  }
  for (const Value& item : items) {
    if (!in.budget().spend(1)) break;
    OLLM_TRY(const Value value, getter(in, item));
    OLLM_TRY(total, arithmetic(in, BinaryOperator::add, total, value));
  }
  return total;
}

Result<Value> batch(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("batch", arguments, {"linecount", "fill_with"}, 1));
  OLLM_TRY(const std::int64_t size, bound.whole(0, 1));
  OLLM_TRY(const Items items, items_of(in, input));
  std::vector<Value> rows;
  std::vector<Value> row;
  for (const Value& item : items) {
    if (!in.budget().spend(1)) break;
    if (static_cast<std::int64_t>(row.size()) == size) {
      rows.push_back(in.heap().list(std::exchange(row, {})));
    }
    row.push_back(item);
  }
  if (!row.empty()) {
    if (const Value* fill = bound.given(1)) {
      const auto missing = static_cast<std::size_t>(
          std::max<std::int64_t>(0, size - static_cast<std::int64_t>(row.size())));
      if (missing > in.budget().room_bytes() / sizeof(Value)) {
        in.budget().exceed_memory();
      } else if (in.budget().spend(missing)) {
        row.insert(row.end(), missing, *fill);
      }
    }
    rows.push_back(in.heap().list(std::move(row)));
  }
  const std::size_t depth = input.depth() + 1;
  return in.heap().generator([rows]() -> Result<std::vector<Value>> { return rows; }, depth);
}

Result<Value> slice(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("slice", arguments, {"slices", "fill_with"}, 1));
  OLLM_TRY(const std::int64_t slices, bound.whole(0, 1));
  OLLM_TRY(const Items items, items_of(in, input));
  if (slices == 0) return runtime_error("integer division or modulo by zero");
  std::vector<Value> columns;
  const auto size = static_cast<std::int64_t>(items.size());
  const std::int64_t each = slices > 0 ? size / slices : 0;
  const std::int64_t longer = slices > 0 ? size % slices : 0;
  std::size_t next = 0;
  for (std::int64_t i = 0; i < slices; ++i) {
    std::vector<Value> column;
    for (std::int64_t j = 0; j < each + (i < longer ? 1 : 0); ++j) {
      column.push_back(items[next++]);
    }
    if (!in.budget().spend(1 + column.size())) break;
    const Value* fill = bound.given(1);
    if (fill != nullptr && i >= longer) column.push_back(*fill);
    columns.push_back(in.heap().list(std::move(column)));
  }
  const std::size_t depth = input.depth() + 1;
  return in.heap().generator([columns]() -> Result<std::vector<Value>> { return columns; }, depth);
}

Result<Value> groupby(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound,
           bind("groupby", arguments, {"attribute", "default", "case_sensitive"}, 1));
  OLLM_TRY(Items items, items_of(in, input));
  const ItemGetter getter(in, bound[0], bound[1]);
  const bool case_sensitive = bound.flag(2, false);
  std::vector<Value> order;
  std::vector<Value> keys;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!in.budget().spend(1)) break;
    OLLM_TRY(const Value key, getter(in, items[i]));
    keys.push_back(case_sensitive ? key : without_case(in, key));
    order.push_back(Value::count(i));
  }
  OLLM_TRY_VOID(sort_by(in, order, keys, false));
  std::vector<Value> groups;
  std::vector<Value> members;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (!in.budget().spend(1)) break;
    const auto at = static_cast<std::size_t>(order[i].integer());
    members.push_back(items[at]);
    const bool ends =
        i + 1 == order.size() ||
        !values_equal(keys[at], keys[static_cast<std::size_t>(order[i + 1].integer())],
                      &in.budget());
    if (!ends) continue;
    OLLM_TRY(const Value grouper, getter(in, members.front()));
    Value group = in.heap().tuple({grouper, in.heap().list(std::exchange(members, {}))});
    group.as<SequenceObject>().is_group = true;
    groups.push_back(std::move(group));
  }
  return in.heap().list(std::move(groups));
}

Result<Value> attr(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("attr", arguments, {"name"}, 1));
  if (!bound[0]->is(Kind::string)) return runtime_error("attribute name must be text");
  const std::string& name = bound[0]->text().bytes;
  // Unlike `input.name`, this does not go on to the items of a dict.
  if (input.is(Kind::dict) && method_of(input, name) == nullptr) {
    return in.heap().undefined(fmt::format("'dict object' has no attribute {}", quoted(name)));
  }
  // Nor is it an error that a missing value has no such thing, where Python asks no further.
  if (input.is(Kind::undefined) && name.starts_with("__")) {
    return in.heap().undefined(fmt::format("'Undefined' object has no attribute {}", quoted(name)));
  }
  return attribute_of(in, input, name);
}

Result<Value> random(Interpreter& /*in*/, const Value& /*input*/, const Arguments& /*args*/) {
  return fail(ErrorKind::unsupported, "the filter 'random' is not built");
}

constexpr Filter kFilters[] = {
    {"length", &length},
    {"count", &length},
    {"list", &list},
    {"first", &first},
    {"last", &last},
    {"reverse", &reverse},
    {"join", &join},
    {"default", &fallback},
    {"d", &fallback},
    {"items", &items},
    {"dictsort", &dictsort},
    {"sort", &sort},
    {"unique", &unique},
    {"min", &extreme<Comparison::less>},
    {"max", &extreme<Comparison::greater>},
    {"sum", &sum},
    {"batch", &batch},
    {"slice", &slice},
    {"groupby", &groupby},
    {"attr", &attr},
    {"random", &random},
};

}  // namespace

std::span<const Filter> sequence_filters() { return kFilters; }

}  // namespace ollm::text::jinja
