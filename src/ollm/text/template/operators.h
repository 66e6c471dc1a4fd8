// Python's operators on values: truth, equality, order, arithmetic, membership, iteration.
// Leaves to others: attributes and subscripts (attributes.h), text forms (python_format.h).
#pragma once

#include <compare>
#include <memory>
#include <span>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/text/template/interpreter.h"
#include "ollm/text/template/value.h"

namespace ollm::text::jinja {

enum class BinaryOperator { add, subtract, multiply, divide, floor_divide, modulo, power };
enum class Comparison { equal, not_equal, less, less_equal, greater, greater_equal, in, not_in };

std::string_view to_string(BinaryOperator op);
std::string_view to_string(Comparison op);

/// Python's bool(value). Whatever is missing, empty or zero is false.
bool truth(const Value& value);

/// Python's ==. The work is charged to `budget`, if there is one.
bool values_equal(const Value& a, const Value& b, Budget* budget);

/// Any comparison. Errors: invalid_argument where the types have no order, or nothing to be in.
Result<bool> compare(Interpreter& in, Comparison op, const Value& a, const Value& b);

/// Errors: invalid_argument for types that do not go together, division by zero, and integers
/// beyond 64 bits.
Result<Value> arithmetic(Interpreter& in, BinaryOperator op, const Value& a, const Value& b);
Result<Value> negated(const Value& value);
Result<Value> unary_plus(const Value& value);

/// The items that a `for` would see. Shares the items of lists and tuples.
class Items {
 public:
  explicit Items(std::vector<Value> own) : own_(std::move(own)) {}
  explicit Items(std::shared_ptr<Object> sequence) : sequence_(std::move(sequence)) {}

  std::span<const Value> view() const {
    return sequence_ ? std::span<const Value>(static_cast<SequenceObject&>(*sequence_).items)
                     : std::span<const Value>(own_);
  }
  auto begin() const { return view().begin(); }
  auto end() const { return view().end(); }
  std::size_t size() const { return view().size(); }
  const Value& operator[](std::size_t index) const { return view()[index]; }
  std::vector<Value> to_vector() && {
    return sequence_ ? std::vector<Value>(begin(), end()) : std::move(own_);
  }

 private:
  std::shared_ptr<Object> sequence_;
  std::vector<Value> own_;
};

/// Errors: invalid_argument, `'int' object is not iterable`.
Result<Items> items_of(Interpreter& in, const Value& value);
bool is_iterable(const Value& value);

/// Python's len(). Errors: invalid_argument for what has none, generators among them.
Result<std::size_t> length_of(const Value& value);

/// A number as a double; only where is_number().
double as_real(const Value& number);
/// An integer or bool as an integer: what Python calls an index. Errors: invalid_argument.
Result<std::int64_t> as_index(const Value& value);

/// A stable merge sort with Python's `<`. `keys` decide, `values` follow.
/// Errors: invalid_argument where two keys have no order.
Result<void> sort_by(Interpreter& in, std::vector<Value>& values, const std::vector<Value>& keys,
                     bool reverse);

}  // namespace ollm::text::jinja
