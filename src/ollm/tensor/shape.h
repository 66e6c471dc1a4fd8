// The shape of a tensor: up to eight sizes, and how many elements and bytes they make.
// Leaves to others: strides and views; all tensors here are packed and row-major.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>

#include "ollm/base/result.h"
#include "ollm/tensor/dtype.h"

namespace ollm {

/// No published model has a tensor of more than five dimensions.
inline constexpr std::size_t kMaxRank = 8;

/// The sizes of a tensor, outermost first; rank 0 is a scalar of one element.
///
/// The element count of a Shape always fits in 63 bits: what comes from outside goes through
/// `make`, and no Shape exists that overflows.
class Shape {
 public:
  /// Rank 0: a scalar.
  Shape() = default;

  /// A shape of our own making; a broken invariant (too many sizes, or too many elements) aborts.
  Shape(std::initializer_list<std::uint64_t> sizes);

  /// A shape from outside. A size of 0 is allowed and makes a tensor without elements; even then
  /// the product of the other sizes has to fit.
  /// Errors: unsupported above kMaxRank sizes; corrupt where the product passes 2^63 - 1.
  static Result<Shape> make(std::span<const std::uint64_t> sizes);

  std::size_t rank() const { return rank_; }
  std::uint64_t operator[](std::size_t axis) const;
  std::span<const std::uint64_t> sizes() const { return {sizes_.data(), rank_}; }

  /// The product of all sizes; 1 for rank 0.
  std::uint64_t element_count() const;

  friend bool operator==(const Shape& a, const Shape& b) = default;

 private:
  std::array<std::uint64_t, kMaxRank> sizes_{};  // zero behind rank_
  std::size_t rank_ = 0;
};

/// "[4096, 14336]"; "[]" for a scalar.
std::string to_string(const Shape& shape);

/// The bytes of a packed tensor, or nothing where that passes 2^63 - 1.
std::optional<std::uint64_t> size_bytes(DType dtype, const Shape& shape);

}  // namespace ollm
