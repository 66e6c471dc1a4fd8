// One rendering of one tree: scopes, output, statements and expressions, step by step.
// Leaves to others: what operators, filters, tests and methods do; and the limits' numbers.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/text/template/chat_template.h"
#include "ollm/text/template/interpreter.h"
#include "ollm/text/template/macro.h"
#include "ollm/text/template/nodes.h"

namespace ollm::text::jinja {

/// Used for one rendering, by one thread. Statements are in evaluator.cc, expressions in
/// evaluator_expressions.cc, calls of macros and loops in evaluator_calls.cc.
class Evaluator : public Interpreter {
 public:
  Evaluator(const TemplateTree& tree, const nlohmann::ordered_json& variables,
            const RenderClock& clock, const RenderOptions& options);
  ~Evaluator() override;

  /// Errors: those of TemplateError; `failure` then tells where.
  Result<MarkedText> run();

  struct Failure {
    bool known = false;
    Position at;
    std::string construct;  // "filter 'int'"
  };
  const Failure& failure() const { return failure_; }

  Result<Value> call(const Value& callee, const Arguments& arguments) override;

 private:
  enum class Flow { normal, break_loop, continue_loop };

  // Sends output into a string while it lives; what waits outside stays charged to the budget.
  class Capture {
   public:
    explicit Capture(Evaluator& evaluator);
    ~Capture();
    Capture(const Capture&) = delete;
    Capture& operator=(const Capture&) = delete;
    Value take() { return evaluator_.heap().string(std::move(builder_)); }

   private:
    Evaluator& evaluator_;
    TextBuilder builder_;
    TextBuilder* outside_;
    std::size_t waiting_bytes_;
  };

  // Makes another scope the current one while it lives.
  class ScopeChange {
   public:
    ScopeChange(Evaluator& evaluator, std::shared_ptr<Scope> inside)
        : evaluator_(evaluator), outside_(std::exchange(evaluator.scope_, std::move(inside))) {}
    ~ScopeChange() { evaluator_.scope_ = std::move(outside_); }
    ScopeChange(const ScopeChange&) = delete;
    ScopeChange& operator=(const ScopeChange&) = delete;

   private:
    Evaluator& evaluator_;
    std::shared_ptr<Scope> outside_;
  };

  // Counts nodes inside each other, and macros inside each other, while it lives.
  class Level {
   public:
    Level(std::size_t& counter, std::size_t most) : counter_(counter) {
      too_deep_ = ++counter > most;
    }
    ~Level() { --counter_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;
    bool too_deep() const { return too_deep_; }

   private:
    std::size_t& counter_;
    bool too_deep_;
  };

  Error limit_error();
  Error note(Error error, Position at, std::string construct);
  std::shared_ptr<Scope> new_scope() { return std::make_shared<Scope>(scope_); }
  void keep_scope(const std::shared_ptr<Scope>& scope);

  // Statements.
  Result<Flow> execute(const Body& body);
  // What the body prints becomes `text` if it ends by itself.
  Result<Flow> execute_captured(const Body& body, Value& text);
  Result<Flow> execute(const Statement& statement);
  Result<Flow> execute_inner(const Statement& statement);
  Result<Flow> execute_output(const Output& output);
  Result<Flow> execute_if(const If& statement);
  Result<Flow> execute_for(const For& statement);
  Result<Flow> run_loop(const For& statement, const Value& iterable, std::size_t depth);
  Result<Flow> execute_block_assignment(const BlockAssignment& statement);
  Result<Flow> execute_call_block(const CallBlock& statement);
  Result<Flow> execute_filter_block(const FilterBlock& statement);
  Result<Flow> execute_with(const With& statement);
  Result<Flow> execute_block(const Block& statement);
  Result<void> print(const Value& value);
  Result<void> assign(const Target& target, const Value& value);

  // Expressions.
  Result<Value> evaluate(const Expression& expression);
  Result<Value> evaluate_inner(const Expression& expression);
  Result<Value> evaluate_or_none(const ExpressionPtr& expression);
  Result<Value> evaluate_sequence(const Sequence& expression);
  Result<Value> evaluate_dict(const Dict& expression);
  Result<Value> evaluate_logical(const Chain& expression);
  Result<Value> evaluate_arithmetic(const Arithmetic& expression);
  Result<Value> evaluate_concatenation(const Chain& expression);
  Result<Value> evaluate_comparison(const ComparisonChain& expression);
  Result<Value> evaluate_conditional(const Conditional& expression);
  Result<Value> evaluate_item(const Item& expression);
  Result<Value> evaluate_slice(const Slice& expression);
  Result<Value> evaluate_call(const Call& expression, const Value* caller);
  Result<Value> evaluate_filter(const FilterCall& expression);
  Result<Value> evaluate_test(const TestCall& expression);
  Result<Arguments> evaluate_arguments(const CallArguments& arguments);
  Result<Value> filtered(const Expression& filter, const Value& input);
  Value look_up(Symbol symbol);
  Value global_variable(Symbol symbol);

  // Calls.
  Result<Value> call_macro(const MacroObject& macro, const Arguments& arguments);
  Result<void> bind_parameters(const Callable& callable, const Arguments& arguments, Scope& scope);
  Result<Value> call_loop(const Value& loop, const Arguments& arguments);
  Value macro_value(const Callable* callable, const Body* body, std::shared_ptr<Scope> scope);

  Symbol symbol_named(std::string_view name) const;

  const TemplateTree& tree_;
  const nlohmann::ordered_json& variables_;
  const RenderOptions& options_;
  // Symbols that the evaluator itself sets; kNoSymbol where the template does not name them.
  static constexpr Symbol kNoSymbol = 0xFFFFFFFF;
  Symbol loop_symbol_, caller_symbol_, varargs_symbol_, kwargs_symbol_, self_symbol_;

  TextBuilder output_;
  TextBuilder* out_;
  std::shared_ptr<Scope> root_;
  std::shared_ptr<Scope> scope_;
  // Variables and functions by symbol, each looked up when first asked for.
  std::vector<std::pair<bool, Value>> globals_;
  std::vector<std::shared_ptr<Scope>> kept_scopes_;  // of macros: emptied at the end
  const Value* block_input_ = nullptr;               // what a filter block's first filter takes
  std::size_t depth_ = 0;
  std::size_t macro_depth_ = 0;
  Failure failure_;
};

}  // namespace ollm::text::jinja
