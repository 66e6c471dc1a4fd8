#include "ollm/text/template/evaluator.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "ollm/text/template/python_format.h"

namespace ollm::text::jinja {

Evaluator::Evaluator(const TemplateTree& tree, const nlohmann::ordered_json& variables,
                     const RenderClock& clock, const RenderOptions& options)
    : Interpreter(options.limits, clock.local),
      tree_(tree),
      variables_(variables),
      options_(options),
      loop_symbol_(symbol_named("loop")),
      caller_symbol_(symbol_named("caller")),
      varargs_symbol_(symbol_named("varargs")),
      kwargs_symbol_(symbol_named("kwargs")),
      self_symbol_(symbol_named("self")),
      output_(options.limits.output_bytes),
      out_(&output_),
      root_(std::make_shared<Scope>(nullptr)),
      scope_(root_),
      globals_(tree.symbols.size()) {}

// Macros hold scopes and scopes hold macros: the circles are cut here, one scope at a time, so
// that no destruction goes deep.
Evaluator::~Evaluator() {
  heap().cut_cycles();
  for (const auto& scope : kept_scopes_) scope->variables.clear();
  root_->variables.clear();
}

Symbol Evaluator::symbol_named(std::string_view name) const {
  const auto found = std::find(tree_.symbols.begin(), tree_.symbols.end(), name);
  return found == tree_.symbols.end() ? kNoSymbol
                                      : static_cast<Symbol>(found - tree_.symbols.begin());
}

void Evaluator::keep_scope(const std::shared_ptr<Scope>& scope) {
  if (!kept_scopes_.empty() && kept_scopes_.back() == scope) return;
  kept_scopes_.push_back(scope);
  budget().hold(sizeof(Scope) + 2 * sizeof(std::shared_ptr<Scope>));
}

Error Evaluator::limit_error() { return fail(ErrorKind::out_of_budget, budget().message()); }

// The innermost node that failed gives the place; those around it find it taken.
Error Evaluator::note(Error error, Position at, std::string construct) {
  if (!failure_.known) failure_ = {true, at, std::move(construct)};
  return error;
}

Result<MarkedText> Evaluator::run() {
  OLLM_TRY_VOID(execute(tree_.body));
  return output_.take();
}

Evaluator::Capture::Capture(Evaluator& evaluator)
    : evaluator_(evaluator),
      builder_(evaluator.heap().builder()),
      outside_(evaluator.out_),
      waiting_bytes_(outside_ == &evaluator.output_ ? 0 : outside_->size()) {
  evaluator.budget().hold(waiting_bytes_);
  evaluator.out_ = &builder_;
}

Evaluator::Capture::~Capture() {
  evaluator_.budget().release(waiting_bytes_);
  evaluator_.out_ = outside_;
}

Result<Evaluator::Flow> Evaluator::execute(const Body& body) {
  for (const auto& statement : body) {
    OLLM_TRY(const Flow flow, execute(*statement));
    if (flow != Flow::normal) return flow;
  }
  return Flow::normal;
}

Result<Evaluator::Flow> Evaluator::execute(const Statement& statement) {
  const Level level(depth_, budget().limits().evaluation_depth);
  if (level.too_deep()) {
    budget().exceed(
        fmt::format("evaluation more than {} deep", budget().limits().evaluation_depth));
  }
  budget().spend(1);
  auto flow = budget().exceeded() ? Result<Flow>(limit_error()) : execute_inner(statement);
  if (flow.ok() && budget().exceeded()) flow = limit_error();
  if (flow.ok()) return flow;
  static constexpr std::string_view kNames[] = {
      "output",       "if",   "for",   "set",        "set block", "macro",    "call block",
      "filter block", "with", "block", "generation", "break",     "continue", "include"};
  return note(std::move(flow).error(), statement.at,
              std::string(kNames[static_cast<std::size_t>(statement.kind)]));
}

Result<Evaluator::Flow> Evaluator::execute_inner(const Statement& statement) {
  switch (statement.kind) {
    case StatementKind::output:
      return execute_output(static_cast<const Output&>(statement));
    case StatementKind::conditional:
      return execute_if(static_cast<const If&>(statement));
    case StatementKind::loop:
      return execute_for(static_cast<const For&>(statement));
    case StatementKind::assignment: {
      const auto& assignment = static_cast<const Assignment&>(statement);
      OLLM_TRY(const Value value, evaluate(*assignment.value));
      OLLM_TRY_VOID(assign(assignment.target, value));
      return Flow::normal;
    }
    case StatementKind::block_assignment:
      return execute_block_assignment(static_cast<const BlockAssignment&>(statement));
    case StatementKind::macro: {
      const auto& macro = static_cast<const MacroDefinition&>(statement);
      scope_->set(macro.symbol, macro_value(&macro.callable, &macro.callable.body, scope_));
      return Flow::normal;
    }
    case StatementKind::call_block:
      return execute_call_block(static_cast<const CallBlock&>(statement));
    case StatementKind::filter_block:
      return execute_filter_block(static_cast<const FilterBlock&>(statement));
    case StatementKind::with:
      return execute_with(static_cast<const With&>(statement));
    case StatementKind::block:
      return execute_block(static_cast<const Block&>(statement));
    case StatementKind::generation: {
      const ScopeChange inside(*this, new_scope());
      return execute(static_cast<const Generation&>(statement).body);
    }
    case StatementKind::break_loop:
      return Flow::break_loop;
    case StatementKind::continue_loop:
      return Flow::continue_loop;
    case StatementKind::needs_loader:
      return runtime_error("no loader for this environment specified");
  }
  return Flow::normal;
}

Result<void> Evaluator::print(const Value& value) {
  append_str(*this, *out_, value);
  if (out_->overflowed()) {
    if (out_ == &output_) {
      budget().exceed(fmt::format("output of more than {} bytes", budget().limits().output_bytes));
    } else {
      budget().exceed_memory();
    }
  }
  if (budget().exceeded()) return limit_error();
  return {};
}

Result<Evaluator::Flow> Evaluator::execute_output(const Output& output) {
  for (const auto& piece : output.pieces) {
    if (const auto* text = std::get_if<std::string>(&piece)) {
      budget().spend_bytes(text->size());
      out_->append(*text);
      if (out_->overflowed()) OLLM_TRY_VOID(print(Value()));
      continue;
    }
    const Expression& expression = *std::get<ExpressionPtr>(piece);
    OLLM_TRY(const Value value, evaluate(expression));
    if (auto printed = print(value); !printed.ok()) {
      return note(std::move(printed).error(), expression.at, "output");
    }
  }
  return Flow::normal;
}

Result<Evaluator::Flow> Evaluator::execute_if(const If& statement) {
  for (const auto& [test, body] : statement.branches) {
    OLLM_TRY(const Value holds, evaluate(*test));
    if (truth(holds)) return execute(body);
  }
  return execute(statement.otherwise);
}

Result<Evaluator::Flow> Evaluator::execute_for(const For& statement) {
  OLLM_TRY(const Value iterable, evaluate(*statement.iterable));
  return run_loop(statement, iterable, 0);
}

Result<Evaluator::Flow> Evaluator::run_loop(const For& statement, const Value& iterable,
                                            std::size_t depth) {
  OLLM_TRY(Items items, items_of(*this, iterable));
  auto loop = std::make_shared<LoopObject>(&statement, std::move(items), depth, scope_);
  const Value loop_value =
      heap().adopt(loop, iterable.is(Kind::list) ? 0 : loop->source.size() * sizeof(Value),
                   iterable.depth() + 1);
  if (statement.condition) {
    loop->conditional = true;
    // What the condition sees: the target's names, and nothing of this loop.
    loop->pull = [this, &statement, object = loop.get(),
                  next = std::size_t{0}]() mutable -> Result<bool> {
      while (next < object->source.size()) {
        const Value item = object->source[next++];
        const ScopeChange inside(*this, std::make_shared<Scope>(object->scope));
        OLLM_TRY_VOID(assign(statement.target, item));
        OLLM_TRY(const Value holds, evaluate(*statement.condition));
        if (!truth(holds)) continue;
        object->passed.push_back(item);
        return true;
      }
      return false;
    };
  }
  const auto finish = [&](Result<Flow> flow) {
    loop->pull = nullptr;
    loop->scope = nullptr;
    return flow;
  };
  bool completed = false;  // one turn at least, to the end of the body
  std::shared_ptr<Scope> inside;
  for (;; ++loop->index) {
    auto more = loop->has(loop->index);
    if (!more.ok()) return finish(std::move(more).error());
    if (!*more) break;
    if (!budget().spend(1)) return finish(limit_error());
    // A scope that nobody kept serves again.
    if (inside != nullptr && inside.use_count() == 1) {
      inside->variables.clear();
    } else {
      inside = new_scope();
    }
    const ScopeChange change(*this, inside);
    if (auto assigned = assign(statement.target, loop->at(loop->index)); !assigned.ok()) {
      return finish(std::move(assigned).error());
    }
    if (loop_symbol_ != kNoSymbol) scope_->set(loop_symbol_, loop_value);
    auto flow = execute(statement.body);
    if (!flow.ok()) return finish(std::move(flow).error());
    if (*flow == Flow::break_loop) break;
    completed = completed || *flow == Flow::normal;
  }
  static_cast<void>(finish(Flow::normal));
  // As Jinja has it: also where every turn was cut short by break or continue.
  if (completed) return Flow::normal;
  const ScopeChange change(*this, new_scope());
  return execute(statement.otherwise);
}

Result<Evaluator::Flow> Evaluator::execute_captured(const Body& body, Value& text) {
  Capture capture(*this);
  const ScopeChange inside(*this, new_scope());
  OLLM_TRY(const Flow flow, execute(body));
  if (flow == Flow::normal) text = capture.take();
  return flow;
}

Result<Evaluator::Flow> Evaluator::execute_block_assignment(const BlockAssignment& statement) {
  Value text;
  OLLM_TRY(const Flow flow, execute_captured(statement.body, text));
  if (flow != Flow::normal) return flow;
  if (statement.filter) {
    OLLM_TRY(text, filtered(*statement.filter, text));
  }
  OLLM_TRY_VOID(assign(statement.target, text));
  return Flow::normal;
}

Result<Evaluator::Flow> Evaluator::execute_filter_block(const FilterBlock& statement) {
  Value text;
  OLLM_TRY(const Flow flow, execute_captured(statement.body, text));
  if (flow != Flow::normal) return flow;
  OLLM_TRY(const Value result, filtered(*statement.filter, text));
  if (!result.is(Kind::string)) {
    return runtime_error(
        fmt::format("the filters of a block must give text, not {}", type_name(result)));
  }
  OLLM_TRY_VOID(print(result));
  return Flow::normal;
}

Result<Evaluator::Flow> Evaluator::execute_call_block(const CallBlock& statement) {
  const Value caller = macro_value(&statement.caller, &statement.caller.body, scope_);
  OLLM_TRY(const Value result, evaluate_call(static_cast<const Call&>(*statement.call), &caller));
  OLLM_TRY_VOID(print(result));
  return Flow::normal;
}

Result<Evaluator::Flow> Evaluator::execute_with(const With& statement) {
  // All values are those from outside, whatever the names before them are set to.
  std::vector<Value> values;
  for (const auto& [target, expression] : statement.variables) {
    OLLM_TRY(Value value, evaluate(*expression));
    values.push_back(std::move(value));
  }
  const ScopeChange inside(*this, new_scope());
  for (std::size_t i = 0; i < values.size(); ++i) {
    OLLM_TRY_VOID(assign(statement.variables[i].first, values[i]));
  }
  return execute(statement.body);
}

Result<Evaluator::Flow> Evaluator::execute_block(const Block& statement) {
  // A block sees the template's own variables, and those around it only where it is `scoped`.
  const ScopeChange inside(*this, std::make_shared<Scope>(statement.scoped ? scope_ : root_));
  return execute(statement.body);
}

Result<void> Evaluator::assign(const Target& target, const Value& value) {
  switch (target.what) {
    case Target::What::name:
      scope_->set(target.symbol, value);
      return {};
    case Target::What::name_space_attribute: {
      const Value space = look_up(target.symbol);
      if (!space.is(Kind::name_space)) {
        return note(runtime_error("cannot assign attribute on non-namespace object"), target.at,
                    fmt::format("set {}.{}", tree_.symbols[target.symbol], target.attribute));
      }
      if (target.attribute.starts_with('_')) {
        return note(runtime_error(fmt::format("Chat templates cannot store underscore-prefixed "
                                              "attributes on a namespace, but got '{}'. Please "
                                              "rename the attribute.",
                                              target.attribute)),
                    target.at, "set");
      }
      space.as<NamespaceObject>().set(target.attribute, value);
      return {};
    }
    case Target::What::tuple: {
      auto items = items_of(*this, value);
      if (!items.ok()) return note(std::move(items).error(), target.at, "unpacking");
      const std::size_t wanted = target.items.size();
      if (items->size() != wanted) {
        return note(
            runtime_error(items->size() > wanted
                              ? fmt::format("too many values to unpack (expected {})", wanted)
                              : fmt::format("not enough values to unpack (expected {}, got {})",
                                            wanted, items->size())),
            target.at, "unpacking");
      }
      for (std::size_t i = 0; i < wanted; ++i) {
        OLLM_TRY_VOID(assign(target.items[i], (*items)[i]));
      }
      return {};
    }
  }
  return {};
}

}  // namespace ollm::text::jinja
