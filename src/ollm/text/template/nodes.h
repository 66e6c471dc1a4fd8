// The tree of a compiled template: expressions and statements, each with its place in the source.
// Leaves to others: how it is read (parser.h) and evaluated (evaluator.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "ollm/text/template/operators.h"
#include "ollm/text/template/value.h"

namespace ollm::text::jinja {

/// Line and column of a character, both from 1; columns count characters.
struct Position {
  std::size_t line = 1;
  std::size_t column = 1;
};

/// A name of the template as an index: scopes compare numbers, not text.
using Symbol = std::uint32_t;

enum class ExpressionKind : std::uint8_t {
  constant,
  name,
  sequence,
  dict,
  negation,
  plus,
  logical_not,
  logical_and,
  logical_or,
  arithmetic,
  concatenation,
  comparison,
  conditional,
  attribute,
  item,
  slice,
  call,
  filter,
  test,
};

struct Expression {
  Expression(ExpressionKind kind_of, Position position) : kind(kind_of), at(position) {}
  virtual ~Expression() = default;
  Expression(const Expression&) = delete;
  Expression& operator=(const Expression&) = delete;

  ExpressionKind kind;
  Position at;
  /// Links of the chain of postfixes and filters that ends here; bounded, as they nest.
  std::size_t chain = 0;
};

using ExpressionPtr = std::unique_ptr<Expression>;

struct Constant : Expression {
  Constant(Value constant, Position position)
      : Expression(ExpressionKind::constant, position), value(std::move(constant)) {}
  Value value;
};

struct Name : Expression {
  Name(Symbol id, Position position) : Expression(ExpressionKind::name, position), symbol(id) {}
  Symbol symbol;
};

struct Sequence : Expression {
  Sequence(Kind made, Position position)
      : Expression(ExpressionKind::sequence, position), makes(made) {}
  Kind makes;  // list or tuple
  std::vector<ExpressionPtr> items;
};

struct Dict : Expression {
  explicit Dict(Position position) : Expression(ExpressionKind::dict, position) {}
  std::vector<std::pair<ExpressionPtr, ExpressionPtr>> items;
};

/// negation, plus and logical_not.
struct Unary : Expression {
  Unary(ExpressionKind kind_of, ExpressionPtr inner, Position position)
      : Expression(kind_of, position), operand(std::move(inner)) {}
  ExpressionPtr operand;
};

/// `a + b - c`: operators of one precedence, left to right; flat, so that long sums stay shallow.
struct Arithmetic : Expression {
  Arithmetic(ExpressionPtr leftmost, Position position)
      : Expression(ExpressionKind::arithmetic, position), first(std::move(leftmost)) {}
  struct Step {
    BinaryOperator op;
    ExpressionPtr operand;
    Position at;
  };
  ExpressionPtr first;
  std::vector<Step> steps;
};

/// logical_and, logical_or and concatenation (`~`).
struct Chain : Expression {
  Chain(ExpressionKind kind_of, Position position) : Expression(kind_of, position) {}
  std::vector<ExpressionPtr> operands;
};

/// `a < b <= c`, each operand evaluated once.
struct ComparisonChain : Expression {
  ComparisonChain(ExpressionPtr leftmost, Position position)
      : Expression(ExpressionKind::comparison, position), first(std::move(leftmost)) {}
  ExpressionPtr first;
  std::vector<std::pair<Comparison, ExpressionPtr>> steps;
};

struct Conditional : Expression {
  explicit Conditional(Position position) : Expression(ExpressionKind::conditional, position) {}
  ExpressionPtr test;
  ExpressionPtr then;
  ExpressionPtr otherwise;  // may be left out
};

struct Attribute : Expression {
  Attribute(ExpressionPtr of, std::string called, Position position)
      : Expression(ExpressionKind::attribute, position),
        object(std::move(of)),
        name(std::move(called)) {}
  ExpressionPtr object;
  std::string name;
};

struct Item : Expression {
  Item(ExpressionPtr of, ExpressionPtr by, Position position)
      : Expression(ExpressionKind::item, position), object(std::move(of)), key(std::move(by)) {}
  ExpressionPtr object;
  ExpressionPtr key;
};

struct Slice : Expression {
  Slice(ExpressionPtr of, Position position)
      : Expression(ExpressionKind::slice, position), object(std::move(of)) {}
  ExpressionPtr object;
  ExpressionPtr start, stop, step;  // each may be left out
};

struct CallArguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  ExpressionPtr splat;        // *list
  ExpressionPtr named_splat;  // **dict
};

struct Call : Expression {
  Call(ExpressionPtr called, Position position)
      : Expression(ExpressionKind::call, position), callee(std::move(called)) {}
  ExpressionPtr callee;
  CallArguments arguments;
};

struct Filter;     // filters.h
struct Predicate;  // predicates.h

struct FilterCall : Expression {
  FilterCall(ExpressionPtr of, std::string called, Position position)
      : Expression(ExpressionKind::filter, position),
        input(std::move(of)),
        name(std::move(called)) {}
  ExpressionPtr input;  // none where the body of a block is filtered
  std::string name;
  const Filter* filter = nullptr;  // none: an error where it is reached
  CallArguments arguments;
};

struct TestCall : Expression {
  TestCall(ExpressionPtr of, std::string called, Position position)
      : Expression(ExpressionKind::test, position), input(std::move(of)), name(std::move(called)) {}
  ExpressionPtr input;
  std::string name;
  const Predicate* predicate = nullptr;  // none: an error where it is reached
  CallArguments arguments;
};

/// What is assigned to: a name, `namespace.attribute`, or several in a tuple.
struct Target {
  enum class What : std::uint8_t { name, name_space_attribute, tuple };
  What what = What::name;
  Symbol symbol = 0;
  std::string attribute;
  std::vector<Target> items;
  Position at;
};

enum class StatementKind : std::uint8_t {
  output,
  conditional,
  loop,
  assignment,
  block_assignment,
  macro,
  call_block,
  filter_block,
  with,
  block,
  generation,
  break_loop,
  continue_loop,
  needs_loader,
};

struct Statement {
  Statement(StatementKind kind_of, Position position) : kind(kind_of), at(position) {}
  virtual ~Statement() = default;
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  StatementKind kind;
  Position at;
};

using Body = std::vector<std::unique_ptr<Statement>>;

/// Text and printed expressions, in order.
struct Output : Statement {
  explicit Output(Position position) : Statement(StatementKind::output, position) {}
  std::vector<std::variant<std::string, ExpressionPtr>> pieces;
};

struct If : Statement {
  explicit If(Position position) : Statement(StatementKind::conditional, position) {}
  std::vector<std::pair<ExpressionPtr, Body>> branches;  // if and elif
  Body otherwise;
};

struct For : Statement {
  explicit For(Position position) : Statement(StatementKind::loop, position) {}
  Target target;
  ExpressionPtr iterable;
  ExpressionPtr condition;  // may be left out
  bool recursive = false;
  Body body;
  Body otherwise;
};

struct Assignment : Statement {
  explicit Assignment(Position position) : Statement(StatementKind::assignment, position) {}
  Target target;
  ExpressionPtr value;
};

struct BlockAssignment : Statement {
  explicit BlockAssignment(Position position)
      : Statement(StatementKind::block_assignment, position) {}
  Target target;
  ExpressionPtr filter;  // a chain of FilterCall whose innermost has no input; may be left out
  Body body;
};

/// What a macro, a call block and a generation block have in common: parameters and a body.
struct Callable {
  std::string name;
  std::vector<std::pair<Symbol, std::string>> parameters;
  std::vector<ExpressionPtr> defaults;  // of the last parameters
  Body body;
  bool uses_caller = false;
  bool uses_varargs = false;
  bool uses_kwargs = false;
};

struct MacroDefinition : Statement {
  explicit MacroDefinition(Position position) : Statement(StatementKind::macro, position) {}
  Symbol symbol = 0;
  Callable callable;
};

struct CallBlock : Statement {
  explicit CallBlock(Position position) : Statement(StatementKind::call_block, position) {}
  ExpressionPtr call;  // a Call
  Callable caller;
};

struct FilterBlock : Statement {
  explicit FilterBlock(Position position) : Statement(StatementKind::filter_block, position) {}
  ExpressionPtr filter;
  Body body;
};

struct With : Statement {
  explicit With(Position position) : Statement(StatementKind::with, position) {}
  std::vector<std::pair<Target, ExpressionPtr>> variables;
  Body body;
};

/// A named block: printed where it stands, and again by self.name().
struct Block : Statement {
  explicit Block(Position position) : Statement(StatementKind::block, position) {}
  std::string name;
  bool scoped = false;
  Body body;
};

/// {% generation %}, which marks what the assistant wrote; printed as it is.
struct Generation : Statement {
  explicit Generation(Position position) : Statement(StatementKind::generation, position) {}
  Body body;
};

/// break, continue; and include, import, from, extends, which fail where they are reached.
struct PlainStatement : Statement {
  using Statement::Statement;
};

/// A whole template.
struct TemplateTree {
  Body body;
  std::vector<std::string> symbols;                          // by Symbol
  std::vector<std::pair<std::string, const Block*>> blocks;  // of the whole tree, by name
};

}  // namespace ollm::text::jinja
