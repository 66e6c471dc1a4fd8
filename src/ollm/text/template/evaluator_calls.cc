// The evaluator's calls: macros and their parameters, callers, blocks, recursive loops.
// Leaves to others: built-in functions and methods, which are called where they are found.
#include <fmt/format.h>

#include <algorithm>

#include "ollm/text/template/evaluator.h"

namespace ollm::text::jinja {

Value Evaluator::macro_value(const Callable* callable, const Body* body,
                             std::shared_ptr<Scope> scope) {
  keep_scope(scope);
  return heap().adopt(std::make_shared<MacroObject>(callable, body, std::move(scope)), 0, 0);
}

Result<Value> Evaluator::call(const Value& callee, const Arguments& arguments) {
  switch (callee.kind()) {
    case Kind::function: {
      const auto& function = callee.as<FunctionObject>();
      return function.body(*this, function.self, arguments);
    }
    case Kind::macro:
      return call_macro(callee.as<MacroObject>(), arguments);
    case Kind::loop:
      return call_loop(callee, arguments);
    case Kind::joiner: {
      if (!arguments.positional.empty() || !arguments.named.empty())
        return runtime_error("a joiner is called without arguments");
      auto& joiner = callee.as<JoinerObject>();
      if (std::exchange(joiner.used, true)) return joiner.separator;
      return heap().string("");
    }
    case Kind::undefined:
      return undefined_error(callee);
    default:
      return runtime_error(fmt::format("'{}' object is not callable", type_name(callee)));
  }
}

Result<Value> Evaluator::call_macro(const MacroObject& macro, const Arguments& arguments) {
  const Level level(macro_depth_, budget().limits().macro_recursion);
  if (level.too_deep()) {
    budget().exceed(
        fmt::format("macros called more than {} deep", budget().limits().macro_recursion));
    return limit_error();
  }
  // The macro may be overwritten while it runs, so that what it needs is held here.
  const std::shared_ptr<Scope> inside = std::make_shared<Scope>(macro.scope);
  const Callable* callable = macro.callable;
  const Body& body = *macro.body;
  const ScopeChange change(*this, inside);
  if (callable != nullptr) {
    OLLM_TRY_VOID(bind_parameters(*callable, arguments, *inside));
  } else if (!arguments.positional.empty() || !arguments.named.empty()) {
    return runtime_error("a block takes no arguments");
  }
  Capture capture(*this);
  OLLM_TRY_VOID(execute(body));
  return capture.take();
}

Result<void> Evaluator::bind_parameters(const Callable& callable, const Arguments& arguments,
                                        Scope& scope) {
  const std::size_t count = callable.parameters.size();
  std::vector<bool> used(arguments.named.size(), false);
  const auto named = [&](std::string_view name) -> const Value* {
    for (std::size_t i = 0; i < used.size(); ++i) {
      if (arguments.named[i].first != name || used[i]) continue;
      used[i] = true;
      return &arguments.named[i].second;
    }
    return nullptr;
  };
  bool takes_caller_by_name = false;
  for (std::size_t i = 0; i < count; ++i) {
    const auto& [symbol, name] = callable.parameters[i];
    takes_caller_by_name |= name == "caller";
    if (i < arguments.positional.size()) {
      scope.set(symbol, arguments.positional[i]);
      continue;
    }
    if (const Value* value = named(name)) {
      scope.set(symbol, *value);
      continue;
    }
    const std::size_t without_default = count - callable.defaults.size();
    if (i < without_default) {
      scope.set(symbol, heap().undefined(fmt::format("parameter '{}' was not provided", name)));
      continue;
    }
    // A default may name the parameters before it.
    OLLM_TRY(Value value, evaluate(*callable.defaults[i - without_default]));
    scope.set(symbol, std::move(value));
  }
  if (callable.uses_caller && !takes_caller_by_name && caller_symbol_ != kNoSymbol) {
    const Value* caller = named("caller");
    scope.set(caller_symbol_, caller != nullptr ? *caller : heap().undefined("No caller defined"));
  }
  auto rest = std::make_shared<DictObject>();
  for (std::size_t i = 0; i < used.size(); ++i) {
    if (used[i]) continue;
    if (!callable.uses_kwargs) {
      return runtime_error(fmt::format("macro '{}' takes no keyword argument '{}'", callable.name,
                                       arguments.named[i].first));
    }
    rest->set(heap().string(arguments.named[i].first), arguments.named[i].second, &budget());
  }
  if (callable.uses_kwargs && kwargs_symbol_ != kNoSymbol) {
    scope.set(kwargs_symbol_, heap().dict(std::move(rest)));
  }
  if (callable.uses_varargs && varargs_symbol_ != kNoSymbol) {
    const std::size_t taken = std::min(count, arguments.positional.size());
    scope.set(varargs_symbol_,
              heap().tuple({arguments.positional.begin() + static_cast<std::ptrdiff_t>(taken),
                            arguments.positional.end()}));
  } else if (arguments.positional.size() > count) {
    return runtime_error(
        fmt::format("macro '{}' takes not more than {} argument(s)", callable.name, count));
  }
  return {};
}

Result<Value> Evaluator::call_loop(const Value& loop, const Arguments& arguments) {
  const auto& object = loop.as<LoopObject>();
  if (!object.statement->recursive) {
    return runtime_error("The loop must have the 'recursive' marker to be called recursively.");
  }
  if (arguments.positional.size() != 1 || !arguments.named.empty()) {
    return runtime_error("a recursive loop is called with one iterable");
  }
  if (object.scope == nullptr) return runtime_error("the loop has ended");
  const Level level(macro_depth_, budget().limits().macro_recursion);
  if (level.too_deep()) {
    budget().exceed(
        fmt::format("loops called more than {} deep", budget().limits().macro_recursion));
    return limit_error();
  }
  const For& statement = *object.statement;
  const std::size_t depth = object.depth + 1;
  const ScopeChange change(*this, object.scope);
  Capture capture(*this);
  OLLM_TRY_VOID(run_loop(statement, arguments.positional.front(), depth));
  return capture.take();
}

}  // namespace ollm::text::jinja
