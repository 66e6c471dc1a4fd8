// A value as JSON has them, read only, its members in the order in which they were put: what
// `as_dict` gives. Leaves to others: which keys there are, and reading JSON from outside.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "ollm/base/result.h"

namespace ollm {

/// A value of a document, or nothing. A handle: copies share the document, which never changes.
/// What is asked of a value of another kind gives nothing, so that a path may be followed to its
/// end and asked there: `plan.as_dict().find("details").find("pass_count").text()`.
class Value {
 public:
  /// What a value is. A number is finite: NaN and the infinities, for which JSON has no form, are
  /// null.
  enum class Kind { null, boolean, integer, number, text, list, dict };
  struct Document;  // what it is made of, for the library alone

  /// Null.
  OLLM_API Value();
  /// Copies share one object; moving copies too, so that no handle is ever empty.
  ///@{
  Value(const Value&) = default;
  Value& operator=(const Value&) = default;
  ///@}

  /// What it is.
  OLLM_API Kind kind() const;
  /// Nothing for a value of another kind, for an integer that does not fit, and for a number that
  /// is asked for as an integer; integers are numbers.
  ///@{
  OLLM_API std::optional<bool> boolean() const;
  OLLM_API std::optional<std::int64_t> integer() const;
  OLLM_API std::optional<double> number() const;
  OLLM_API std::optional<std::string> text() const;
  ///@}

  /// Elements of a list, or members of a dict; 0 for all else.
  OLLM_API std::size_t size() const;
  /// The element or member at a place, from 0; null where there is none.
  OLLM_API Value at(std::size_t index) const;
  /// The key of the member at a place of a dict; empty where there is none.
  OLLM_API std::string key(std::size_t index) const;
  /// Whether it is a dict with this key.
  OLLM_API bool has(std::string_view key) const;
  /// The member of a key; null where there is none.
  OLLM_API Value find(std::string_view key) const;

  /// As JSON text, members in their order: in one line, or with each on a line of its own, indented
  /// by `indent` (at most kIndentMax) for each step.
  OLLM_API std::string json(int indent = 0) const;
  static constexpr int kIndentMax = 16;  // spaces; more are as many

  /// Whether both are the same value; the order of members counts.
  OLLM_API friend bool operator==(const Value& a, const Value& b);

 private:
  friend struct Document;
  Value(std::shared_ptr<const Document> document, const void* node)
      : document_(std::move(document)), node_(node) {}
  std::shared_ptr<const Document> document_;  // null: a null value
  const void* node_ = nullptr;                // in the document
};

}  // namespace ollm
