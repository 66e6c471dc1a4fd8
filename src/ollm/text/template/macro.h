// What the evaluator's own objects are: scopes, macros, loops; and the attributes they show.
// Leaves to others: running them (evaluator.h).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ollm/text/template/interpreter.h"
#include "ollm/text/template/nodes.h"
#include "ollm/text/template/operators.h"
#include "ollm/text/template/value.h"

namespace ollm::text::jinja {

/// Variables of one body. Shared, as a macro keeps the scope it was defined in.
struct Scope {
  explicit Scope(std::shared_ptr<Scope> around) : parent(std::move(around)) {}

  const Value* find(Symbol symbol) const {
    for (const auto& [name, value] : variables) {
      if (name == symbol) return &value;
    }
    return nullptr;
  }
  void set(Symbol symbol, Value value) {
    for (auto& [name, old] : variables) {
      if (name == symbol) {
        old = std::move(value);
        return;
      }
    }
    variables.emplace_back(symbol, std::move(value));
  }

  std::shared_ptr<Scope> parent;
  std::vector<std::pair<Symbol, Value>> variables;
};

/// A macro, the caller of a call block, or a block reached by `self`.
struct MacroObject : Object {
  MacroObject(const Callable* definition, const Body* content, std::shared_ptr<Scope> around)
      : Object(Kind::macro), callable(definition), body(content), scope(std::move(around)) {}
  std::string describe() const override;

  const Callable* callable;  // none for a block
  const Body* body;
  std::shared_ptr<Scope> scope;
};

/// The variable `loop`.
struct LoopObject : Object {
  LoopObject(const For* loop, Items over, std::size_t depth0, std::shared_ptr<Scope> around)
      : Object(Kind::loop),
        statement(loop),
        source(std::move(over)),
        depth(depth0),
        scope(std::move(around)) {}
  std::string describe() const override;

  /// Whether there is an item of that number. With a condition it may have to be looked for, no
  /// earlier than it is asked for, as the condition may depend on what the body did before.
  Result<bool> has(std::size_t number);
  Result<std::size_t> length();
  const Value& at(std::size_t number) const {
    return conditional ? passed[number] : source[number];
  }

  const For* statement;
  Items source;
  bool conditional = false;
  std::vector<Value> passed;           // items that met the condition so far
  std::function<Result<bool>()> pull;  // finds one more of them; none once there are no more
  bool pulling = false;
  std::size_t index = 0;
  std::size_t depth;
  std::shared_ptr<Scope> scope;  // where a recursive loop goes on; none once the loop has ended
  std::vector<Value> last_changed;
  bool ever_changed = false;
};

/// name and arguments of a macro.
Result<Value> macro_attribute(Interpreter& in, const Value& macro, std::string_view name,
                              bool* found);
/// index, index0, first, last, previtem, …
Result<Value> loop_attribute(Interpreter& in, const Value& loop, std::string_view name,
                             bool* found);
/// cycle and changed; null for others.
FunctionObject::Body loop_method(std::string_view name);

}  // namespace ollm::text::jinja
