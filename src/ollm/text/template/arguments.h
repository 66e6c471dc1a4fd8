// Arguments bound to the parameters of a built-in, by position and by name, as Python binds them.
// Leaves to others: what the built-in does with them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string_view>

#include "ollm/base/result.h"
#include "ollm/text/template/value.h"

namespace ollm::text::jinja {

/// The arguments of one call, by the index of their parameter.
class BoundArguments {
 public:
  static constexpr std::size_t kMaxParameters = 8;

  /// Nothing where the argument was left out.
  const Value* operator[](std::size_t index) const { return values_[index]; }
  bool has(std::size_t index) const { return values_[index] != nullptr; }
  /// Python's truth of the argument.
  bool flag(std::size_t index, bool otherwise) const;
  /// The argument as an integer. Errors: invalid_argument.
  Result<std::int64_t> whole(std::size_t index, std::int64_t otherwise) const;
  /// The argument where it was given and is not None.
  const Value* given(std::size_t index) const;

 private:
  friend Result<BoundArguments> bind(std::string_view, const Arguments&,
                                     std::initializer_list<std::string_view>, std::size_t);
  std::array<const Value*, kMaxParameters> values_{};
};

/// Binds `arguments` to `parameters`, the first `required` of which must be given.
/// Errors: invalid_argument for too many, missing and unknown ones. The values stay where they are.
Result<BoundArguments> bind(std::string_view function, const Arguments& arguments,
                            std::initializer_list<std::string_view> parameters,
                            std::size_t required);

}  // namespace ollm::text::jinja
