// The parser's expressions: operators by precedence, postfixes, filters, tests, targets.
// Leaves to others: statements (parser.cc).
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "ollm/text/template/filters.h"
#include "ollm/text/template/parser.h"
#include "ollm/text/template/predicates.h"

namespace ollm::text::jinja {
namespace {

std::optional<Comparison> comparison_of(const Token& token) {
  static constexpr std::pair<std::string_view, Comparison> kComparisons[] = {
      {"==", Comparison::equal},  {"!=", Comparison::not_equal},
      {"<", Comparison::less},    {"<=", Comparison::less_equal},
      {">", Comparison::greater}, {">=", Comparison::greater_equal},
  };
  if (token.is_name("in")) return Comparison::in;
  for (const auto& [text, comparison] : kComparisons) {
    if (token.is_op(text)) return comparison;
  }
  return std::nullopt;
}

std::optional<BinaryOperator> sum_operator(const Token& token) {
  if (token.is_op("+")) return BinaryOperator::add;
  if (token.is_op("-")) return BinaryOperator::subtract;
  return std::nullopt;
}

std::optional<BinaryOperator> product_operator(const Token& token) {
  if (token.is_op("*")) return BinaryOperator::multiply;
  if (token.is_op("/")) return BinaryOperator::divide;
  if (token.is_op("//")) return BinaryOperator::floor_divide;
  if (token.is_op("%")) return BinaryOperator::modulo;
  return std::nullopt;
}

}  // namespace

// `made` hangs on `object`: the chain grows by one link.
Result<void> Parser::link(Expression& made, const Expression* object) {
  made.chain = object == nullptr ? 1 : object->chain + 1;
  if (made.chain <= limits_.chain) return {};
  return error_at(made.at, fmt::format("a chain of more than {} links", limits_.chain),
                  ErrorKind::out_of_budget);
}

Result<ExpressionPtr> Parser::parse_expression(bool with_conditional) {
  const Nesting nesting(*this);
  if (nesting.too_deep()) return too_deep();
  return with_conditional ? parse_conditional() : parse_or();
}

Result<ExpressionPtr> Parser::parse_conditional() {
  const Position at = current_.at;
  // What a conditional holds is looked at when it is reached: unknown names in it are no error yet.
  const std::size_t unknown_before = unknown_names_.size();
  OLLM_TRY(ExpressionPtr left, parse_or());
  for (;;) {
    OLLM_TRY(const bool more, skip_name("if"));
    if (!more) return left;
    auto node = std::make_unique<Conditional>(at);
    OLLM_TRY_VOID(link(*node, left.get()));
    node->then = std::move(left);
    OLLM_TRY(node->test, parse_or());
    OLLM_TRY(const bool has_else, skip_name("else"));
    if (has_else) {
      const Nesting nesting(*this);
      if (nesting.too_deep()) return too_deep();
      OLLM_TRY(node->otherwise, parse_conditional());
    }
    unknown_names_.resize(unknown_before);
    left = std::move(node);
  }
}

Result<ExpressionPtr> Parser::parse_or() {
  const Position at = current_.at;
  OLLM_TRY(ExpressionPtr first, parse_and());
  if (!current_.is_name("or")) return first;
  auto node = std::make_unique<Chain>(ExpressionKind::logical_or, at);
  node->operands.push_back(std::move(first));
  while (current_.is_name("or")) {
    OLLM_TRY_VOID(advance());
    OLLM_TRY(ExpressionPtr next, parse_and());
    node->operands.push_back(std::move(next));
  }
  return ExpressionPtr(std::move(node));
}

Result<ExpressionPtr> Parser::parse_and() {
  const Position at = current_.at;
  OLLM_TRY(ExpressionPtr first, parse_not());
  if (!current_.is_name("and")) return first;
  auto node = std::make_unique<Chain>(ExpressionKind::logical_and, at);
  node->operands.push_back(std::move(first));
  while (current_.is_name("and")) {
    OLLM_TRY_VOID(advance());
    OLLM_TRY(ExpressionPtr next, parse_not());
    node->operands.push_back(std::move(next));
  }
  return ExpressionPtr(std::move(node));
}

Result<ExpressionPtr> Parser::parse_not() {
  if (!current_.is_name("not")) return parse_comparison();
  const Nesting nesting(*this);
  if (nesting.too_deep()) return too_deep();
  const Position at = current_.at;
  OLLM_TRY_VOID(advance());
  OLLM_TRY(ExpressionPtr operand, parse_not());
  return ExpressionPtr(
      std::make_unique<Unary>(ExpressionKind::logical_not, std::move(operand), at));
}

Result<ExpressionPtr> Parser::parse_comparison() {
  const Position at = current_.at;
  OLLM_TRY(ExpressionPtr first, parse_sum());
  std::unique_ptr<ComparisonChain> node;
  for (;;) {
    auto op = comparison_of(current_);
    if (current_.is_name("not")) {
      OLLM_TRY_VOID(look_ahead());
      if (ahead_.is_name("in")) {
        OLLM_TRY_VOID(advance());
        op = Comparison::not_in;
      }
    }
    if (!op) break;
    OLLM_TRY_VOID(advance());
    if (!node) node = std::make_unique<ComparisonChain>(std::move(first), at);
    OLLM_TRY(ExpressionPtr next, parse_sum());
    node->steps.emplace_back(*op, std::move(next));
  }
  return node ? ExpressionPtr(std::move(node)) : std::move(first);
}

Result<ExpressionPtr> Parser::parse_sum() {
  const Position at = current_.at;
  OLLM_TRY(ExpressionPtr first, parse_concatenation());
  std::unique_ptr<Arithmetic> node;
  while (const auto op = sum_operator(current_)) {
    const Position op_at = current_.at;
    OLLM_TRY_VOID(advance());
    if (!node) node = std::make_unique<Arithmetic>(std::move(first), at);
    OLLM_TRY(ExpressionPtr next, parse_concatenation());
    node->steps.push_back({*op, std::move(next), op_at});
  }
  return node ? ExpressionPtr(std::move(node)) : std::move(first);
}

Result<ExpressionPtr> Parser::parse_concatenation() {
  const Position at = current_.at;
  OLLM_TRY(ExpressionPtr first, parse_product());
  if (!current_.is_op("~")) return first;
  auto node = std::make_unique<Chain>(ExpressionKind::concatenation, at);
  node->operands.push_back(std::move(first));
  while (current_.is_op("~")) {
    OLLM_TRY_VOID(advance());
    OLLM_TRY(ExpressionPtr next, parse_product());
    node->operands.push_back(std::move(next));
  }
  return ExpressionPtr(std::move(node));
}

Result<ExpressionPtr> Parser::parse_product() {
  const Position at = current_.at;
  OLLM_TRY(ExpressionPtr first, parse_power());
  std::unique_ptr<Arithmetic> node;
  while (const auto op = product_operator(current_)) {
    const Position op_at = current_.at;
    OLLM_TRY_VOID(advance());
    if (!node) node = std::make_unique<Arithmetic>(std::move(first), at);
    OLLM_TRY(ExpressionPtr next, parse_power());
    node->steps.push_back({*op, std::move(next), op_at});
  }
  return node ? ExpressionPtr(std::move(node)) : std::move(first);
}

// From left to right, and below the sign: -2 ** 2 is 4. So Jinja reads it, unlike Python.
Result<ExpressionPtr> Parser::parse_power() {
  const Position at = current_.at;
  OLLM_TRY(ExpressionPtr first, parse_unary(true));
  std::unique_ptr<Arithmetic> node;
  while (current_.is_op("**")) {
    const Position op_at = current_.at;
    OLLM_TRY_VOID(advance());
    if (!node) node = std::make_unique<Arithmetic>(std::move(first), at);
    OLLM_TRY(ExpressionPtr next, parse_unary(true));
    node->steps.push_back({BinaryOperator::power, std::move(next), op_at});
  }
  return node ? ExpressionPtr(std::move(node)) : std::move(first);
}

Result<ExpressionPtr> Parser::parse_unary(bool with_filters) {
  ExpressionPtr node;
  if (current_.is_op("-") || current_.is_op("+")) {
    const Nesting nesting(*this);
    if (nesting.too_deep()) return too_deep();
    const Position at = current_.at;
    const auto kind = current_.is_op("-") ? ExpressionKind::negation : ExpressionKind::plus;
    OLLM_TRY_VOID(advance());
    OLLM_TRY(ExpressionPtr operand, parse_unary(false));
    node = std::make_unique<Unary>(kind, std::move(operand), at);
  } else {
    OLLM_TRY(node, parse_primary());
  }
  OLLM_TRY(node, parse_postfix(std::move(node)));
  if (!with_filters) return node;
  return parse_filters_and_tests(std::move(node));
}

Result<ExpressionPtr> Parser::parse_primary() {
  const Position at = current_.at;
  const auto constant = [&](Value value) -> Result<ExpressionPtr> {
    OLLM_TRY_VOID(advance());
    return ExpressionPtr(std::make_unique<Constant>(std::move(value), at));
  };
  switch (current_.type) {
    case TokenType::name: {
      const std::string name = current_.text;
      if (name == "true" || name == "True") return constant(Value(true));
      if (name == "false" || name == "False") return constant(Value(false));
      if (name == "none" || name == "None") return constant(Value());
      for (Callable* callable : callables_) {
        callable->uses_caller |= name == "caller";
        callable->uses_varargs |= name == "varargs";
        callable->uses_kwargs |= name == "kwargs";
      }
      OLLM_TRY_VOID(advance());
      return ExpressionPtr(std::make_unique<Name>(symbol_of(name), at));
    }
    case TokenType::string: {
      std::string text;
      while (current_.type == TokenType::string) {
        text += current_.text;
        OLLM_TRY_VOID(advance());
      }
      return ExpressionPtr(std::make_unique<Constant>(constants_.string(text), at));
    }
    case TokenType::integer:
      return constant(Value(current_.integer));
    case TokenType::real:
      return constant(Value(current_.real));
    default:
      break;
  }
  if (current_.is_op("(")) {
    OLLM_TRY_VOID(advance());
    OLLM_TRY(ExpressionPtr inner, parse_tuple(true, true));
    OLLM_TRY_VOID(expect_op(")"));
    return inner;
  }
  if (current_.is_op("[")) return parse_list();
  if (current_.is_op("{")) return parse_dict();
  return error_at(at, fmt::format("unexpected '{}'", current_.describe()));
}

Result<ExpressionPtr> Parser::parse_list() {
  auto node = std::make_unique<Sequence>(Kind::list, current_.at);
  OLLM_TRY_VOID(advance());
  while (!current_.is_op("]")) {
    if (!node->items.empty()) OLLM_TRY_VOID(expect_op(","));
    if (current_.is_op("]")) break;
    OLLM_TRY(ExpressionPtr item, parse_expression());
    node->items.push_back(std::move(item));
  }
  OLLM_TRY_VOID(expect_op("]"));
  return ExpressionPtr(std::move(node));
}

Result<ExpressionPtr> Parser::parse_dict() {
  auto node = std::make_unique<Dict>(current_.at);
  OLLM_TRY_VOID(advance());
  while (!current_.is_op("}")) {
    if (!node->items.empty()) OLLM_TRY_VOID(expect_op(","));
    if (current_.is_op("}")) break;
    OLLM_TRY(ExpressionPtr key, parse_expression());
    OLLM_TRY_VOID(expect_op(":"));
    OLLM_TRY(ExpressionPtr value, parse_expression());
    node->items.emplace_back(std::move(key), std::move(value));
  }
  OLLM_TRY_VOID(expect_op("}"));
  return ExpressionPtr(std::move(node));
}

Result<ExpressionPtr> Parser::parse_postfix(ExpressionPtr object) {
  for (;;) {
    if (current_.is_op(".") || current_.is_op("[")) {
      OLLM_TRY(object, parse_subscript(std::move(object)));
    } else if (current_.is_op("(")) {
      OLLM_TRY(object, parse_call(std::move(object)));
    } else {
      return object;
    }
  }
}

Result<ExpressionPtr> Parser::parse_filters_and_tests(ExpressionPtr object) {
  for (;;) {
    if (current_.is_op("|")) {
      OLLM_TRY(object, parse_filter(std::move(object)));
    } else if (current_.is_name("is")) {
      OLLM_TRY(object, parse_test(std::move(object)));
    } else if (current_.is_op("(")) {
      OLLM_TRY(object, parse_call(std::move(object)));
    } else {
      return object;
    }
  }
}

Result<ExpressionPtr> Parser::parse_subscript(ExpressionPtr object) {
  const Position at = current_.at;
  const Expression* const before = object.get();
  if (current_.is_op(".")) {
    OLLM_TRY_VOID(advance());
    ExpressionPtr node;
    if (current_.type == TokenType::name) {
      node = std::make_unique<Attribute>(std::move(object), current_.text, at);
    } else if (current_.type == TokenType::integer) {
      auto key = std::make_unique<Constant>(Value(current_.integer), current_.at);
      node = std::make_unique<Item>(std::move(object), std::move(key), at);
    } else {
      return unexpected("a name or number");
    }
    OLLM_TRY_VOID(advance());
    OLLM_TRY_VOID(link(*node, before));
    return node;
  }
  OLLM_TRY_VOID(advance());
  std::vector<ExpressionPtr> keys;
  bool made_slice = false;
  while (!current_.is_op("]")) {
    if (!keys.empty()) OLLM_TRY_VOID(expect_op(","));
    OLLM_TRY(ExpressionPtr key, parse_item_key(object, at, &made_slice));
    if (made_slice) {
      OLLM_TRY_VOID(expect_op("]"));
      OLLM_TRY_VOID(link(*key, before));
      return key;
    }
    keys.push_back(std::move(key));
  }
  OLLM_TRY_VOID(expect_op("]"));
  ExpressionPtr key;
  if (keys.size() == 1) {
    key = std::move(keys.front());
  } else {
    auto tuple = std::make_unique<Sequence>(Kind::tuple, at);
    tuple->items = std::move(keys);
    key = std::move(tuple);
  }
  auto node = std::make_unique<Item>(std::move(object), std::move(key), at);
  OLLM_TRY_VOID(link(*node, before));
  return ExpressionPtr(std::move(node));
}

// A key inside brackets; a slice takes the object over and is the whole subscript.
Result<ExpressionPtr> Parser::parse_item_key(ExpressionPtr& object, Position at, bool* made_slice) {
  ExpressionPtr start;
  if (!current_.is_op(":")) {
    OLLM_TRY(start, parse_expression());
    if (!current_.is_op(":")) return start;
  }
  OLLM_TRY_VOID(advance());
  auto node = std::make_unique<Slice>(std::move(object), at);
  node->start = std::move(start);
  const auto ends = [this] { return current_.is_op("]") || current_.is_op(","); };
  if (!current_.is_op(":") && !ends()) {
    OLLM_TRY(node->stop, parse_expression());
  }
  OLLM_TRY(const bool has_step, skip_op(":"));
  if (has_step && !ends()) {
    OLLM_TRY(node->step, parse_expression());
  }
  *made_slice = true;
  return ExpressionPtr(std::move(node));
}

Result<CallArguments> Parser::parse_arguments() {
  CallArguments arguments;
  const Position at = current_.at;
  const auto wrong_order = [&] { return error_at(at, "arguments in the wrong order"); };
  OLLM_TRY_VOID(expect_op("("));
  for (bool first = true; !current_.is_op(")"); first = false) {
    if (!first) {
      OLLM_TRY_VOID(expect_op(","));
      if (current_.is_op(")")) break;
    }
    if (current_.is_op("*")) {
      if (arguments.splat || arguments.named_splat) return wrong_order();
      OLLM_TRY_VOID(advance());
      OLLM_TRY(arguments.splat, parse_expression());
      continue;
    }
    if (current_.is_op("**")) {
      if (arguments.named_splat) return wrong_order();
      OLLM_TRY_VOID(advance());
      OLLM_TRY(arguments.named_splat, parse_expression());
      continue;
    }
    if (current_.type == TokenType::name) {
      OLLM_TRY_VOID(look_ahead());
      if (ahead_.is_op("=")) {
        if (arguments.named_splat) return wrong_order();
        std::string name = current_.text;
        for (const auto& [other, value] : arguments.named) {
          if (other == name) {
            return error_at(current_.at, fmt::format("keyword argument repeated: {}", name));
          }
        }
        OLLM_TRY_VOID(advance());
        OLLM_TRY_VOID(advance());
        OLLM_TRY(ExpressionPtr value, parse_expression());
        arguments.named.emplace_back(std::move(name), std::move(value));
        continue;
      }
    }
    if (arguments.splat || arguments.named_splat || !arguments.named.empty()) {
      return wrong_order();
    }
    OLLM_TRY(ExpressionPtr value, parse_expression());
    arguments.positional.push_back(std::move(value));
  }
  OLLM_TRY_VOID(expect_op(")"));
  return arguments;
}

Result<ExpressionPtr> Parser::parse_call(ExpressionPtr callee) {
  auto node = std::make_unique<Call>(std::move(callee), current_.at);
  OLLM_TRY_VOID(link(*node, node->callee.get()));
  OLLM_TRY(node->arguments, parse_arguments());
  return ExpressionPtr(std::move(node));
}

Result<std::string> Parser::parse_dotted_name() {
  OLLM_TRY(std::string name, expect_name());
  while (current_.is_op(".")) {
    OLLM_TRY_VOID(advance());
    OLLM_TRY(const std::string part, expect_name());
    name += '.' + part;
  }
  return name;
}

Result<ExpressionPtr> Parser::parse_filter(ExpressionPtr object) {
  while (current_.is_op("|")) {
    OLLM_TRY_VOID(advance());
    OLLM_TRY(object, parse_filter_name(std::move(object)));
  }
  return object;
}

Result<ExpressionPtr> Parser::parse_filter_name(ExpressionPtr object) {
  const Position at = current_.at;
  OLLM_TRY(std::string name, parse_dotted_name());
  auto node = std::make_unique<FilterCall>(std::move(object), std::move(name), at);
  OLLM_TRY_VOID(link(*node, node->input.get()));
  node->filter = find_filter(node->name);
  if (node->filter == nullptr && !surroundings_.lenient) {
    unknown_names_.push_back({at, fmt::format("No filter named '{}'.", node->name)});
  }
  if (current_.is_op("(")) {
    OLLM_TRY(node->arguments, parse_arguments());
  }
  return ExpressionPtr(std::move(node));
}

Result<ExpressionPtr> Parser::parse_test(ExpressionPtr object) {
  OLLM_TRY_VOID(advance());  // is
  OLLM_TRY(const bool negated, skip_name("not"));
  const Position at = current_.at;
  OLLM_TRY(std::string name, parse_dotted_name());
  auto node = std::make_unique<TestCall>(std::move(object), std::move(name), at);
  OLLM_TRY_VOID(link(*node, node->input.get()));
  node->predicate = find_predicate(node->name);
  if (node->predicate == nullptr && !surroundings_.lenient) {
    unknown_names_.push_back({at, fmt::format("No test named '{}'.", node->name)});
  }
  if (current_.is_op("(")) {
    OLLM_TRY(node->arguments, parse_arguments());
  } else if (current_.is_name("is")) {
    return error_at(current_.at, "You cannot chain multiple tests with is");
  } else if (const bool ends =
                 current_.is_name("else") || current_.is_name("or") || current_.is_name("and");
             !ends && (current_.type == TokenType::name || current_.type == TokenType::string ||
                       current_.type == TokenType::integer || current_.type == TokenType::real ||
                       current_.is_op("[") || current_.is_op("{"))) {
    const Nesting nesting(*this);
    if (nesting.too_deep()) return too_deep();
    OLLM_TRY(ExpressionPtr argument, parse_primary());
    OLLM_TRY(argument, parse_postfix(std::move(argument)));
    node->arguments.positional.push_back(std::move(argument));
  }
  if (!negated) return ExpressionPtr(std::move(node));
  auto opposite = std::make_unique<Unary>(ExpressionKind::logical_not, std::move(node), at);
  OLLM_TRY_VOID(link(*opposite, opposite->operand.get()));
  return ExpressionPtr(std::move(opposite));
}

bool Parser::at_tuple_end(std::string_view end_name) const {
  return current_.type == TokenType::variable_end || current_.type == TokenType::block_end ||
         current_.is_op(")") || (!end_name.empty() && current_.is_name(end_name));
}

Result<ExpressionPtr> Parser::parse_tuple(bool with_conditional, bool in_parentheses,
                                          std::string_view end_name) {
  const Position at = current_.at;
  std::vector<ExpressionPtr> items;
  bool is_tuple = false;
  for (;;) {
    if (!items.empty()) OLLM_TRY_VOID(expect_op(","));
    if (at_tuple_end(end_name)) break;
    OLLM_TRY(ExpressionPtr item, parse_expression(with_conditional));
    items.push_back(std::move(item));
    if (!current_.is_op(",")) break;
    is_tuple = true;
  }
  if (!is_tuple) {
    if (!items.empty()) return std::move(items.front());
    if (!in_parentheses) {
      return error_at(at, fmt::format("expected an expression, got '{}'", current_.describe()));
    }
  }
  auto tuple = std::make_unique<Sequence>(Kind::tuple, at);
  tuple->items = std::move(items);
  return ExpressionPtr(std::move(tuple));
}

Result<Target> Parser::parse_single_target(bool with_namespace) {
  const Nesting nesting(*this);
  if (nesting.too_deep()) return too_deep();
  Target target;
  target.at = current_.at;
  if (current_.is_op("(")) {
    OLLM_TRY_VOID(advance());
    OLLM_TRY(target, parse_target(with_namespace));
    OLLM_TRY_VOID(expect_op(")"));
    return target;
  }
  static constexpr std::string_view kConstants[] = {"true", "false", "none",
                                                    "True", "False", "None"};
  if (current_.type != TokenType::name || std::find(std::begin(kConstants), std::end(kConstants),
                                                    current_.text) != std::end(kConstants)) {
    return error_at(current_.at, fmt::format("can't assign to '{}'", current_.describe()));
  }
  target.symbol = symbol_of(current_.text);
  OLLM_TRY_VOID(advance());
  if (with_namespace && current_.is_op(".")) {
    OLLM_TRY_VOID(advance());
    target.what = Target::What::name_space_attribute;
    OLLM_TRY(target.attribute, expect_name());
  }
  return target;
}

Result<Target> Parser::parse_target(bool with_namespace, std::string_view end_name) {
  Target tuple;
  tuple.what = Target::What::tuple;
  tuple.at = current_.at;
  bool is_tuple = false;
  for (;;) {
    if (!tuple.items.empty()) OLLM_TRY_VOID(expect_op(","));
    if (at_tuple_end(end_name)) break;
    OLLM_TRY(Target item, parse_single_target(with_namespace));
    tuple.items.push_back(std::move(item));
    if (!current_.is_op(",")) break;
    is_tuple = true;
  }
  if (is_tuple) return tuple;
  if (tuple.items.empty()) {
    return error_at(tuple.at, fmt::format("expected a name, got '{}'", current_.describe()));
  }
  return std::move(tuple.items.front());
}

}  // namespace ollm::text::jinja
