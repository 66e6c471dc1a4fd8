// What filters, tests and methods see of the rendering they are part of.
// Leaves to others: how nodes are evaluated (evaluator.h), which implements it.
#pragma once

#include <ctime>
#include <string>
#include <string_view>
#include <utility>

#include "ollm/base/result.h"
#include "ollm/text/template/limits.h"
#include "ollm/text/template/value.h"

namespace ollm::text::jinja {

/// One rendering: its limits, its values, its clock, and the way back to the evaluator.
class Interpreter {
 public:
  Interpreter(const RenderLimits& limits, const std::tm& local_time)
      : budget_(limits), heap_(&budget_), local_time_(local_time) {}
  virtual ~Interpreter() = default;

  Budget& budget() { return budget_; }
  Heap& heap() { return heap_; }
  /// What strftime_now prints.
  const std::tm& local_time() const { return local_time_; }

  /// Calls a function, macro or other callable.
  virtual Result<Value> call(const Value& callee, const Arguments& arguments) = 0;

  /// The template's own error, whose message goes out word for word.
  Error raise(std::string message) {
    raised_ = true;
    return fail(ErrorKind::invalid_argument, std::move(message));
  }
  bool raised() const { return raised_; }

 private:
  Budget budget_;
  Heap heap_;
  std::tm local_time_;
  bool raised_ = false;
};

/// An error of the kind that Python would raise: a wrong type, an index out of range, …
inline Error runtime_error(std::string message) {
  return fail(ErrorKind::invalid_argument, std::move(message));
}

/// The error of using something that is missing.
inline Error undefined_error(const Value& undefined) {
  return runtime_error(undefined.as<UndefinedObject>().message);
}

}  // namespace ollm::text::jinja
