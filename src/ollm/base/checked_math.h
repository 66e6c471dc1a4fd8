// Arithmetic on sizes that come from outside: nothing where the result would not fit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace ollm {

inline std::optional<std::uint64_t> checked_mul(std::uint64_t a, std::uint64_t b) {
  std::uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

inline std::optional<std::uint64_t> checked_add(std::uint64_t a, std::uint64_t b) {
  std::uint64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

/// The smallest multiple of `step` (> 0) that is not below `value`.
constexpr std::size_t round_up(std::size_t value, std::size_t step) {
  return (value + step - 1) / step * step;
}

/// How many pieces of `step` (> 0) cover `value`.
constexpr std::size_t ceil_div(std::size_t value, std::size_t step) {
  return (value + step - 1) / step;
}

}  // namespace ollm
