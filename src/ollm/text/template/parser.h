// A template's tokens read into a tree, by Jinja's grammar and its order of operators.
// Leaves to others: tokens (lexer.h), and what the nodes do (evaluator.h).
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/text/template/lexer.h"
#include "ollm/text/template/limits.h"
#include "ollm/text/template/nodes.h"

namespace ollm::text::jinja {

/// Reads one template. Statements are in parser.cc, expressions in parser_expressions.cc.
class Parser {
 public:
  Parser(std::string_view source, const CompileLimits& limits);

  /// Errors: corrupt for wrong syntax, unsupported for Jinja that is not built, out_of_budget for
  /// a template that nests too deeply; `error_position` then tells where.
  Result<TemplateTree> parse();
  Position error_position() const { return error_position_; }

 private:
  // Counts one level of nesting while it lives.
  class Nesting {
   public:
    explicit Nesting(Parser& parser) : parser_(parser) { ++parser_.nesting_; }
    ~Nesting() { --parser_.nesting_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;
    bool too_deep() const { return parser_.nesting_ > parser_.limits_.nesting; }

   private:
    Parser& parser_;
  };

  // What holds in a body: whether break may stand there, and whether an unknown filter is an
  // error at once (Jinja looks at some places only when they are reached).
  struct Surroundings {
    bool in_loop = false;
    bool lenient = false;
  };

  using StatementPtr = std::unique_ptr<Statement>;

  // Tokens.
  Result<void> advance();
  Result<void> look_ahead();
  Result<void> expect_op(std::string_view op);
  Result<void> expect(TokenType type, std::string_view what);
  Result<std::string> expect_name();
  Result<bool> skip_op(std::string_view op);
  Result<bool> skip_name(std::string_view name);
  Error error_at(Position at, std::string message, ErrorKind kind = ErrorKind::corrupt);
  Error too_deep();
  Error unexpected(std::string_view expected);
  Symbol symbol_of(const std::string& name);

  // Statements.
  using EndTags = std::initializer_list<std::string_view>;
  Result<Body> parse_body(EndTags end_tags, Surroundings surroundings, bool drop_end_tag);
  Result<Body> parse_pieces(EndTags end_tags);
  Error unknown_tag(EndTags end_tags);
  Result<StatementPtr> parse_statement();
  Result<StatementPtr> parse_if(Position at);
  Result<StatementPtr> parse_for(Position at);
  Result<StatementPtr> parse_set(Position at);
  Result<StatementPtr> parse_macro(Position at);
  Result<StatementPtr> parse_call_block(Position at);
  Result<StatementPtr> parse_filter_block(Position at);
  Result<StatementPtr> parse_with(Position at);
  Result<StatementPtr> parse_block(Position at);
  Result<StatementPtr> parse_generation(Position at);
  Result<StatementPtr> parse_print(Position at);
  Result<StatementPtr> parse_loop_control(Position at, StatementKind kind);
  Result<StatementPtr> parse_needs_loader(Position at);
  Result<void> parse_signature(Callable& callable);
  Result<void> parse_callable_body(Callable& callable, std::string_view end_tag);

  // Expressions.
  Result<ExpressionPtr> parse_expression(bool with_conditional = true);
  Result<ExpressionPtr> parse_conditional();
  Result<ExpressionPtr> parse_or();
  Result<ExpressionPtr> parse_and();
  Result<ExpressionPtr> parse_not();
  Result<ExpressionPtr> parse_comparison();
  Result<ExpressionPtr> parse_sum();
  Result<ExpressionPtr> parse_concatenation();
  Result<ExpressionPtr> parse_product();
  Result<ExpressionPtr> parse_power();
  Result<ExpressionPtr> parse_unary(bool with_filters);
  Result<ExpressionPtr> parse_primary();
  Result<ExpressionPtr> parse_list();
  Result<ExpressionPtr> parse_dict();
  Result<ExpressionPtr> parse_postfix(ExpressionPtr object);
  Result<ExpressionPtr> parse_filters_and_tests(ExpressionPtr object);
  Result<ExpressionPtr> parse_subscript(ExpressionPtr object);
  Result<ExpressionPtr> parse_item_key(ExpressionPtr& object, Position at, bool* made_slice);
  Result<ExpressionPtr> parse_filter(ExpressionPtr object);
  Result<ExpressionPtr> parse_filter_name(ExpressionPtr object);
  Result<ExpressionPtr> parse_test(ExpressionPtr object);
  Result<ExpressionPtr> parse_call(ExpressionPtr callee);
  Result<CallArguments> parse_arguments();
  Result<ExpressionPtr> parse_tuple(bool with_conditional, bool in_parentheses,
                                    std::string_view end_name = {});
  bool at_tuple_end(std::string_view end_name) const;
  Result<Target> parse_target(bool with_namespace, std::string_view end_name = {});
  Result<Target> parse_single_target(bool with_namespace);
  Result<void> link(Expression& made, const Expression* object);
  Result<std::string> parse_dotted_name();

  Lexer lexer_;
  CompileLimits limits_;
  Token current_;
  Token ahead_;
  bool has_ahead_ = false;
  Surroundings surroundings_;
  std::size_t nesting_ = 0;
  std::vector<std::string> open_tags_;
  std::vector<Callable*> callables_;  // macros and callers around the current place
  struct UnknownName {
    Position at;
    std::string message;
  };
  std::vector<UnknownName> unknown_names_;  // filters and tests that do not exist
  TemplateTree tree_;
  std::unordered_map<std::string, Symbol> symbols_;
  Heap constants_{nullptr};
  Position error_position_;
  bool has_error_ = false;
};

}  // namespace ollm::text::jinja
