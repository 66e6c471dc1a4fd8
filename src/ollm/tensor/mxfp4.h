// MXFP4, value by value: e2m1 codes of four bits, scaled in blocks by a power of two (e8m0).
// Source: Open Compute Project, "OCP Microscaling Formats (MX) Specification", version 1.0, 2023,
// 5.3.3 and 5.4.1. Leaves to others: vectors of them (backend/), where they stand (weights/).
#pragma once

#include <bit>
#include <cstdint>

namespace ollm {

/// The largest e8m0 scale with which every e2m1 value is finite in bf16: 6 * 2^(252 - 127) is, one
/// more is not; 255 is a NaN.
inline constexpr std::uint8_t kLargestE8m0 = 252;

/// The e2m1 value of the low four bits of `code` (sign, two bits of exponent, one of mantissa)
/// times 2^(scale - 127), scale at most kLargestE8m0. Exact in bf16, and so in f32; zero of its
/// sign below the smallest normal of these, as denormals are everywhere here. On integers only.
constexpr float scaled_e2m1(unsigned code, std::uint8_t scale) {
  const std::uint32_t sign = (code & 8u) << 28;
  const std::uint32_t exponent = code >> 1 & 3u;
  const std::uint32_t mantissa = code & 1u;
  // exponent 0 holds 0 and 0.5; else it is 2^(exponent - 1) * (1 + mantissa / 2).
  if (exponent == 0 && mantissa == 0) return std::bit_cast<float>(sign);
  const std::uint32_t power = scale + (exponent == 0 ? 0 : exponent) - 1;  // biased by 127
  const std::uint32_t fraction = exponent == 0 ? 0 : mantissa << 22;
  if (power == 0 || power > 254) return std::bit_cast<float>(sign);
  return std::bit_cast<float>(sign | power << 23 | fraction);
}

}  // namespace ollm
