#include "ollm/text/template/predicates.h"

#include <fmt/format.h>

#include <cmath>
#include <unordered_map>

#include "ollm/text/template/arguments.h"
#include "ollm/text/template/filters.h"
#include "ollm/text/template/operators.h"
#include "ollm/text/template/python_format.h"
#include "ollm/text/template/string_methods.h"

namespace ollm::text::jinja {
namespace {

// Tests without arguments that look only at the value.
template <bool (*holds)(const Value&)>
Result<bool> simple(Interpreter& /*in*/, const Value& input, const Arguments& arguments) {
  OLLM_TRY_VOID(bind("test", arguments, {}, 0));
  return holds(input);
}

bool is_defined(const Value& value) { return !value.is(Kind::undefined); }
bool is_undefined(const Value& value) { return value.is(Kind::undefined); }
bool is_none(const Value& value) { return value.is(Kind::none); }
bool is_boolean(const Value& value) { return value.is(Kind::boolean); }
bool is_true(const Value& value) { return value.is(Kind::boolean) && value.boolean(); }
bool is_false(const Value& value) { return value.is(Kind::boolean) && !value.boolean(); }
bool is_integer(const Value& value) {
  return value.is(Kind::integer) || value.is(Kind::wide_integer);
}
bool is_float(const Value& value) { return value.is(Kind::real); }
bool is_any_number(const Value& value) { return value.is_number(); }
bool is_string(const Value& value) { return value.is(Kind::string); }
bool is_mapping(const Value& value) { return value.is(Kind::dict); }
bool is_callable(const Value& value) {
  switch (value.kind()) {
    case Kind::function:
    case Kind::macro:
    case Kind::loop:
    case Kind::joiner:
    case Kind::undefined:  // it can be called, and answers with its error
      return true;
    default:
      return false;
  }
}
// What has a length and items by number or key.
bool is_sequence(const Value& value) {
  switch (value.kind()) {
    case Kind::string:
    case Kind::bytes:
    case Kind::list:
    case Kind::tuple:
    case Kind::dict:
    case Kind::range:
    case Kind::undefined:
      return true;
    default:
      return false;
  }
}
bool is_escaped(const Value& value) {
  return value.is(Kind::string) && value.as<StringObject>().markup;
}

template <std::int64_t remainder>
Result<bool> parity(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY_VOID(bind("odd", arguments, {}, 0));
  OLLM_TRY(const Value rest, arithmetic(in, BinaryOperator::modulo, input, Value(std::int64_t{2})));
  return values_equal(rest, Value(remainder), &in.budget());
}

Result<bool> divisibleby(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("divisibleby", arguments, {"num"}, 1));
  OLLM_TRY(const Value rest, arithmetic(in, BinaryOperator::modulo, input, *bound[0]));
  return values_equal(rest, Value(std::int64_t{0}), &in.budget());
}

template <Comparison op>
Result<bool> comparison(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind(to_string(op), arguments, {"other"}, 1));
  return compare(in, op, input, *bound[0]);
}

Result<bool> sameas(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("sameas", arguments, {"other"}, 1));
  const Value& other = *bound[0];
  if (input.kind() != other.kind()) return false;
  if (input.object() != nullptr) return input.object() == other.object();
  return values_equal(input, other, &in.budget());
}

template <bool upper_case>
Result<bool> is_case(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY_VOID(bind("test", arguments, {}, 0));
  OLLM_TRY(const Value answer,
           string_method(upper_case ? "isupper" : "islower")(in, str_of(in, input), {}));
  return truth(answer);
}

template <typename T, const T* (*find)(std::string_view)>
Result<bool> names(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY_VOID(bind("test", arguments, {}, 0));
  if (!hash_of(input, &in.budget())) {
    return runtime_error(fmt::format("unhashable type: '{}'", type_name(input)));
  }
  return input.is(Kind::string) && find(input.text().bytes) != nullptr;
}

constexpr Predicate kPredicates[] = {
    {"defined", &simple<is_defined>},
    {"undefined", &simple<is_undefined>},
    {"none", &simple<is_none>},
    {"boolean", &simple<is_boolean>},
    {"true", &simple<is_true>},
    {"false", &simple<is_false>},
    {"integer", &simple<is_integer>},
    {"float", &simple<is_float>},
    {"number", &simple<is_any_number>},
    {"string", &simple<is_string>},
    {"mapping", &simple<is_mapping>},
    {"sequence", &simple<is_sequence>},
    {"iterable", &simple<is_iterable>},
    {"callable", &simple<is_callable>},
    {"escaped", &simple<is_escaped>},
    {"odd", &parity<1>},
    {"even", &parity<0>},
    {"divisibleby", &divisibleby},
    {"sameas", &sameas},
    {"lower", &is_case<false>},
    {"upper", &is_case<true>},
    {"filter", &names<Filter, find_filter>},
    {"test", &names<Predicate, find_predicate>},
    {"in", &comparison<Comparison::in>},
    {"==", &comparison<Comparison::equal>},
    {"eq", &comparison<Comparison::equal>},
    {"equalto", &comparison<Comparison::equal>},
    {"!=", &comparison<Comparison::not_equal>},
    {"ne", &comparison<Comparison::not_equal>},
    {"<", &comparison<Comparison::less>},
    {"lt", &comparison<Comparison::less>},
    {"lessthan", &comparison<Comparison::less>},
    {"<=", &comparison<Comparison::less_equal>},
    {"le", &comparison<Comparison::less_equal>},
    {">", &comparison<Comparison::greater>},
    {"gt", &comparison<Comparison::greater>},
    {"greaterthan", &comparison<Comparison::greater>},
    {">=", &comparison<Comparison::greater_equal>},
    {"ge", &comparison<Comparison::greater_equal>},
};

}  // namespace

const Predicate* find_predicate(std::string_view name) {
  static const auto kByName = [] {
    std::unordered_map<std::string_view, const Predicate*> by_name;
    for (const Predicate& predicate : kPredicates) by_name.emplace(predicate.name, &predicate);
    return by_name;
  }();
  const auto found = kByName.find(name);
  return found == kByName.end() ? nullptr : found->second;
}

}  // namespace ollm::text::jinja
