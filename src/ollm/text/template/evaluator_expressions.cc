// The evaluator's expressions.
// Leaves to others: statements (evaluator.cc) and running macros and loops (evaluator_calls.cc).
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "ollm/text/template/attributes.h"
#include "ollm/text/template/evaluator.h"
#include "ollm/text/template/filters.h"
#include "ollm/text/template/globals.h"
#include "ollm/text/template/json_value.h"
#include "ollm/text/template/predicates.h"
#include "ollm/text/template/python_format.h"

namespace ollm::text::jinja {
namespace {

// What an expression is called in a message: "filter 'int'".
std::string construct_of(const Expression& expression, const std::vector<std::string>& symbols) {
  const auto callee_name = [&](const Expression& callee) -> std::string {
    if (callee.kind == ExpressionKind::name) {
      return symbols[static_cast<const Name&>(callee).symbol];
    }
    if (callee.kind == ExpressionKind::attribute) {
      return static_cast<const Attribute&>(callee).name;
    }
    return "a value";
  };
  switch (expression.kind) {
    case ExpressionKind::name:
      return fmt::format("variable '{}'", symbols[static_cast<const Name&>(expression).symbol]);
    case ExpressionKind::attribute:
      return fmt::format("attribute '{}'", static_cast<const Attribute&>(expression).name);
    case ExpressionKind::call:
      return fmt::format("call of '{}'", callee_name(*static_cast<const Call&>(expression).callee));
    case ExpressionKind::filter:
      return fmt::format("filter '{}'", static_cast<const FilterCall&>(expression).name);
    case ExpressionKind::test:
      return fmt::format("test '{}'", static_cast<const TestCall&>(expression).name);
    case ExpressionKind::item:
      return "item";
    case ExpressionKind::slice:
      return "slice";
    case ExpressionKind::comparison:
      return "comparison";
    case ExpressionKind::arithmetic:
    case ExpressionKind::negation:
    case ExpressionKind::plus:
      return "arithmetic";
    case ExpressionKind::concatenation:
      return "operator '~'";
    default:
      return "expression";
  }
}

}  // namespace

Result<Value> Evaluator::evaluate(const Expression& expression) {
  budget().spend(1);
  if (expression.kind == ExpressionKind::constant && !budget().exceeded()) {
    return static_cast<const Constant&>(expression).value;
  }
  const Level level(depth_, budget().limits().evaluation_depth);
  if (level.too_deep()) {
    budget().exceed(
        fmt::format("evaluation more than {} deep", budget().limits().evaluation_depth));
  }
  Result<Value> value =
      budget().exceeded() ? Result<Value>(limit_error()) : evaluate_inner(expression);
  if (value.ok()) {
    if (!budget().exceeded()) return value;
    value = limit_error();
  }
  return note(std::move(value).error(), expression.at, construct_of(expression, tree_.symbols));
}

Result<Value> Evaluator::evaluate_inner(const Expression& expression) {
  switch (expression.kind) {
    case ExpressionKind::constant:
      return static_cast<const Constant&>(expression).value;
    case ExpressionKind::name:
      return look_up(static_cast<const Name&>(expression).symbol);
    case ExpressionKind::sequence:
      return evaluate_sequence(static_cast<const Sequence&>(expression));
    case ExpressionKind::dict:
      return evaluate_dict(static_cast<const Dict&>(expression));
    case ExpressionKind::negation: {
      OLLM_TRY(const Value value, evaluate(*static_cast<const Unary&>(expression).operand));
      return negated(value);
    }
    case ExpressionKind::plus: {
      OLLM_TRY(const Value value, evaluate(*static_cast<const Unary&>(expression).operand));
      return unary_plus(value);
    }
    case ExpressionKind::logical_not: {
      OLLM_TRY(const Value value, evaluate(*static_cast<const Unary&>(expression).operand));
      return Value(!truth(value));
    }
    case ExpressionKind::logical_and:
    case ExpressionKind::logical_or:
      return evaluate_logical(static_cast<const Chain&>(expression));
    case ExpressionKind::arithmetic:
      return evaluate_arithmetic(static_cast<const Arithmetic&>(expression));
    case ExpressionKind::concatenation:
      return evaluate_concatenation(static_cast<const Chain&>(expression));
    case ExpressionKind::comparison:
      return evaluate_comparison(static_cast<const ComparisonChain&>(expression));
    case ExpressionKind::conditional:
      return evaluate_conditional(static_cast<const Conditional&>(expression));
    case ExpressionKind::attribute: {
      const auto& attribute = static_cast<const Attribute&>(expression);
      OLLM_TRY(const Value object, evaluate(*attribute.object));
      return attribute_of(*this, object, attribute.name);
    }
    case ExpressionKind::item:
      return evaluate_item(static_cast<const Item&>(expression));
    case ExpressionKind::slice:
      return evaluate_slice(static_cast<const Slice&>(expression));
    case ExpressionKind::call:
      return evaluate_call(static_cast<const Call&>(expression), nullptr);
    case ExpressionKind::filter:
      return evaluate_filter(static_cast<const FilterCall&>(expression));
    case ExpressionKind::test:
      return evaluate_test(static_cast<const TestCall&>(expression));
  }
  return Value();
}

Result<Value> Evaluator::evaluate_or_none(const ExpressionPtr& expression) {
  if (!expression) return Value();
  return evaluate(*expression);
}

Value Evaluator::look_up(Symbol symbol) {
  for (const Scope* scope = scope_.get(); scope != nullptr; scope = scope->parent.get()) {
    if (const Value* found = scope->find(symbol)) return *found;
  }
  auto& [known, value] = globals_[symbol];
  if (!known) {
    value = global_variable(symbol);
    // What is missing is another thing each time that it is named (`x is sameas x`), as in Jinja.
    known = !value.is(Kind::undefined);
  }
  return value;
}

Value Evaluator::global_variable(Symbol symbol) {
  const std::string& name = tree_.symbols[symbol];
  if (const auto found = variables_.find(name); found != variables_.end()) {
    const auto& user = options_.user_variables;
    return value_from_json(*this, *found, std::find(user.begin(), user.end(), name) != user.end());
  }
  if (const FunctionObject::Body body = global_function(name)) {
    return heap().function(name, body);
  }
  if (symbol == self_symbol_ && !tree_.blocks.empty()) {
    auto blocks = std::make_shared<NamespaceObject>();
    for (const auto& [block, definition] : tree_.blocks) {
      blocks->set(block, macro_value(nullptr, &definition->body, root_));
    }
    return heap().name_space(std::move(blocks));
  }
  return heap().undefined(fmt::format("'{}' is undefined", name));
}

Result<Value> Evaluator::evaluate_sequence(const Sequence& expression) {
  std::vector<Value> items;
  items.reserve(expression.items.size());
  for (const ExpressionPtr& item : expression.items) {
    OLLM_TRY(Value value, evaluate(*item));
    items.push_back(std::move(value));
  }
  return heap().sequence(expression.makes, std::move(items));
}

Result<Value> Evaluator::evaluate_dict(const Dict& expression) {
  auto dict = std::make_shared<DictObject>();
  for (const auto& [key_expression, value_expression] : expression.items) {
    OLLM_TRY(const Value key, evaluate(*key_expression));
    OLLM_TRY(Value value, evaluate(*value_expression));
    if (!hash_of(key, &budget())) {
      return runtime_error(fmt::format("unhashable type: '{}'", type_name(key)));
    }
    dict->set(key, std::move(value), &budget());
  }
  return heap().dict(std::move(dict));
}

// The first operand that decides, not its truth.
Result<Value> Evaluator::evaluate_logical(const Chain& expression) {
  const bool stops_at = expression.kind == ExpressionKind::logical_or;
  for (std::size_t i = 0; i + 1 < expression.operands.size(); ++i) {
    OLLM_TRY(Value value, evaluate(*expression.operands[i]));
    if (truth(value) == stops_at) return value;
  }
  return evaluate(*expression.operands.back());
}

Result<Value> Evaluator::evaluate_arithmetic(const Arithmetic& expression) {
  OLLM_TRY(Value left, evaluate(*expression.first));
  for (const Arithmetic::Step& step : expression.steps) {
    OLLM_TRY(const Value right, evaluate(*step.operand));
    auto result = arithmetic(*this, step.op, left, right);
    if (result.ok() && budget().exceeded()) result = limit_error();
    if (!result.ok()) {
      return note(std::move(result).error(), step.at,
                  fmt::format("operator '{}'",
                              step.op == BinaryOperator::power ? "**" : to_string(step.op)));
    }
    left = std::move(result).value();
  }
  return left;
}

Result<Value> Evaluator::evaluate_concatenation(const Chain& expression) {
  TextBuilder out = heap().builder();
  for (const ExpressionPtr& operand : expression.operands) {
    OLLM_TRY(const Value value, evaluate(*operand));
    append_str(*this, out, value);
  }
  return heap().string(std::move(out));
}

Result<Value> Evaluator::evaluate_comparison(const ComparisonChain& expression) {
  OLLM_TRY(Value left, evaluate(*expression.first));
  for (const auto& [op, operand] : expression.steps) {
    OLLM_TRY(Value right, evaluate(*operand));
    OLLM_TRY(const bool holds, compare(*this, op, left, right));
    if (!holds) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

Result<Value> Evaluator::evaluate_conditional(const Conditional& expression) {
  OLLM_TRY(const Value holds, evaluate(*expression.test));
  if (truth(holds)) return evaluate(*expression.then);
  if (expression.otherwise) return evaluate(*expression.otherwise);
  return heap().undefined(
      fmt::format("the inline if-expression on line {} evaluated to false and no else section "
                  "was defined.",
                  expression.at.line));
}

Result<Value> Evaluator::evaluate_item(const Item& expression) {
  OLLM_TRY(const Value object, evaluate(*expression.object));
  OLLM_TRY(const Value key, evaluate(*expression.key));
  return item_of(*this, object, key);
}

Result<Value> Evaluator::evaluate_slice(const Slice& expression) {
  OLLM_TRY(const Value object, evaluate(*expression.object));
  OLLM_TRY(const Value start, evaluate_or_none(expression.start));
  OLLM_TRY(const Value stop, evaluate_or_none(expression.stop));
  OLLM_TRY(const Value step, evaluate_or_none(expression.step));
  return slice_of(*this, object, start, stop, step);
}

Result<Arguments> Evaluator::evaluate_arguments(const CallArguments& given) {
  Arguments arguments;
  arguments.positional.reserve(given.positional.size());
  for (const ExpressionPtr& expression : given.positional) {
    OLLM_TRY(Value value, evaluate(*expression));
    arguments.positional.push_back(std::move(value));
  }
  for (const auto& [name, expression] : given.named) {
    OLLM_TRY(Value value, evaluate(*expression));
    arguments.named.emplace_back(name, std::move(value));
  }
  if (given.splat) {
    OLLM_TRY(const Value list, evaluate(*given.splat));
    OLLM_TRY(const Items items, items_of(*this, list));
    budget().spend(items.size());
    arguments.positional.insert(arguments.positional.end(), items.begin(), items.end());
  }
  if (given.named_splat) {
    OLLM_TRY(const Value dict, evaluate(*given.named_splat));
    if (!dict.is(Kind::dict)) {
      return runtime_error(
          fmt::format("argument after ** must be a mapping, not {}", type_name(dict)));
    }
    for (const auto& [key, value] : dict.as<DictObject>().items) {
      budget().spend(1 + arguments.named.size());
      if (budget().exceeded()) return limit_error();
      if (!key.is(Kind::string)) return runtime_error("keywords must be strings");
      const std::string& name = key.text().bytes;
      const bool twice = std::any_of(arguments.named.begin(), arguments.named.end(),
                                     [&](const auto& other) { return other.first == name; });
      if (twice) {
        return runtime_error(fmt::format("got multiple values for keyword argument '{}'", name));
      }
      arguments.named.emplace_back(name, value);
    }
  }
  return arguments;
}

Result<Value> Evaluator::evaluate_call(const Call& expression, const Value* caller) {
  Value callee;
  Value self;
  FunctionObject::Body method = nullptr;
  if (expression.callee->kind == ExpressionKind::attribute) {
    // `object.method(...)` needs no value for the method itself.
    const auto& attribute = static_cast<const Attribute&>(*expression.callee);
    OLLM_TRY(self, evaluate(*attribute.object));
    method = method_of(self, attribute.name);
    if (method == nullptr) {
      OLLM_TRY(callee, attribute_of(*this, self, attribute.name));
    }
  } else {
    OLLM_TRY(callee, evaluate(*expression.callee));
  }
  OLLM_TRY(Arguments arguments, evaluate_arguments(expression.arguments));
  if (caller != nullptr) arguments.named.emplace_back("caller", *caller);
  return method != nullptr ? method(*this, self, arguments) : call(callee, arguments);
}

// Applies a chain of filters whose first has no input of its own.
Result<Value> Evaluator::filtered(const Expression& filter, const Value& input) {
  const Value* const outside = std::exchange(block_input_, &input);
  auto value = evaluate(filter);
  block_input_ = outside;
  return value;
}

Result<Value> Evaluator::evaluate_filter(const FilterCall& expression) {
  Value input;
  if (expression.input) {
    OLLM_TRY(input, evaluate(*expression.input));
  } else {
    input = *block_input_;
  }
  if (expression.filter == nullptr) {
    return runtime_error(fmt::format("No filter named '{}' found.", expression.name));
  }
  OLLM_TRY(const Arguments arguments, evaluate_arguments(expression.arguments));
  return expression.filter->apply(*this, input, arguments);
}

Result<Value> Evaluator::evaluate_test(const TestCall& expression) {
  OLLM_TRY(const Value input, evaluate(*expression.input));
  if (expression.predicate == nullptr) {
    return runtime_error(fmt::format("No test named '{}' found.", expression.name));
  }
  OLLM_TRY(const Arguments arguments, evaluate_arguments(expression.arguments));
  OLLM_TRY(const bool holds, expression.predicate->holds(*this, input, arguments));
  return Value(holds);
}

}  // namespace ollm::text::jinja
