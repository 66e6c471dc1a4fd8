#include "ollm/text/template/macro.h"

#include <fmt/format.h>

#include "ollm/text/template/python_format.h"

namespace ollm::text::jinja {
namespace {

Result<Value> cycle(Interpreter& /*in*/, const Value& self, const Arguments& arguments) {
  if (arguments.positional.empty()) return runtime_error("no items for cycling given");
  return arguments.positional[self.as<LoopObject>().index % arguments.positional.size()];
}

Result<Value> changed(Interpreter& in, const Value& self, const Arguments& arguments) {
  auto& loop = self.as<LoopObject>();
  bool same = loop.ever_changed && loop.last_changed.size() == arguments.positional.size();
  for (std::size_t i = 0; same && i < loop.last_changed.size(); ++i) {
    same = values_equal(loop.last_changed[i], arguments.positional[i], &in.budget());
  }
  loop.ever_changed = true;
  if (!same) loop.last_changed = arguments.positional;
  return Value(!same);
}

}  // namespace

std::string MacroObject::describe() const {
  return callable == nullptr ? "<Block>" : fmt::format("<Macro {}>", quoted(callable->name));
}

std::string LoopObject::describe() const {
  return fmt::format("<LoopContext {}/{}>", index + 1, conditional ? passed.size() : source.size());
}

Result<bool> LoopObject::has(std::size_t number) {
  if (!conditional) return number < source.size();
  // The condition could ask for the loop it belongs to, by way of a namespace.
  if (pulling) return runtime_error("the loop's condition asks for the loop itself");
  while (passed.size() <= number && pull) {
    pulling = true;
    const auto more = pull();
    pulling = false;
    if (!more.ok()) return more.error();
    if (!*more) pull = nullptr;
  }
  return number < passed.size();
}

Result<std::size_t> LoopObject::length() {
  if (!conditional) return source.size();
  OLLM_TRY_VOID(has(std::string::npos - 1));
  return passed.size();
}

Result<Value> macro_attribute(Interpreter& in, const Value& macro, std::string_view name,
                              bool* found) {
  const auto& object = macro.as<MacroObject>();
  *found = object.callable != nullptr;
  if (*found && name == "name") return in.heap().string(object.callable->name);
  if (*found && name == "arguments") {
    std::vector<Value> names;
    for (const auto& [symbol, parameter] : object.callable->parameters) {
      names.push_back(in.heap().string(parameter));
    }
    return in.heap().tuple(std::move(names));
  }
  if (*found && name == "caller") return Value(object.callable->uses_caller);
  if (*found && name == "catch_kwargs") return Value(object.callable->uses_kwargs);
  if (*found && name == "catch_varargs") return Value(object.callable->uses_varargs);
  *found = false;
  return Value();
}

Result<Value> loop_attribute(Interpreter& in, const Value& loop, std::string_view name,
                             bool* found) {
  auto& object = loop.as<LoopObject>();
  *found = true;
  if (name == "index0") return Value::count(object.index);
  if (name == "index") return Value::count(object.index + 1);
  if (name == "first") return Value(object.index == 0);
  if (name == "depth0") return Value::count(object.depth);
  if (name == "depth") return Value::count(object.depth + 1);
  if (name == "last" || name == "nextitem") {
    OLLM_TRY(const bool more, object.has(object.index + 1));
    if (name == "last") return Value(!more);
    if (!more) return in.heap().undefined("there is no next item");
    return object.at(object.index + 1);
  }
  if (name == "previtem") {
    if (object.index == 0) return in.heap().undefined("there is no previous item");
    return object.at(object.index - 1);
  }
  if (name == "length" || name == "revindex" || name == "revindex0") {
    OLLM_TRY(const std::size_t length, object.length());
    if (name == "length") return Value::count(length);
    return Value::count(length - object.index - (name == "revindex0" ? 1 : 0));
  }
  *found = false;
  return Value();
}

FunctionObject::Body loop_method(std::string_view name) {
  if (name == "cycle") return &cycle;
  if (name == "changed") return &changed;
  return nullptr;
}

}  // namespace ollm::text::jinja
