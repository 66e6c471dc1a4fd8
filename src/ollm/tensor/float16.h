// Scalar conversions between f32 and the two 16-bit float formats, bit by bit and exact.
// Leaves to others: vectors of them (backend/, which has its own and is tested against these).
#pragma once

#include <bit>
#include <cstdint>

namespace ollm {

// All four work on integers only, so that no floating-point mode of the calling thread (denormals
// as zero, another rounding) can change a result.

/// bf16 is the upper half of an f32: every value is exact, a NaN keeps its payload.
constexpr float bf16_to_f32(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

/// Rounds to the nearest bf16, ties to even; beyond the largest finite value to infinity. A NaN
/// stays a NaN of the same sign (made quiet, since its payload may lie in the dropped half).
constexpr std::uint16_t f32_to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>(bits >> 16 | 0x40u);
  const std::uint32_t odd = bits >> 16 & 1u;
  return static_cast<std::uint16_t>((bits + 0x7fffu + odd) >> 16);
}

/// IEEE 754 binary16: 1 sign, 5 exponent, 10 mantissa bits. Every value is exact, denormals
/// included; a NaN keeps its payload.
constexpr float f16_to_f32(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
  const std::uint32_t exponent = bits >> 10 & 0x1fu;
  std::uint32_t mantissa = bits & 0x3ffu;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000u | mantissa << 13);
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
  if (mantissa == 0) return std::bit_cast<float>(sign);
  // A denormal is mantissa * 2^-24; f32 has room to normalise it.
  const auto shift = static_cast<std::uint32_t>(std::countl_zero(mantissa)) - 21;  // 1 to 10
  mantissa = mantissa << shift & 0x3ffu;
  return std::bit_cast<float>(sign | (113 - shift) << 23 | mantissa << 13);
}

/// Rounds to the nearest binary16, ties to even, into denormals and zero; from 65520 on to
/// infinity. A NaN stays a NaN of the same sign (made quiet).
constexpr std::uint16_t f32_to_f16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000u);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  const auto with_sign = [sign](std::uint32_t low) {
    return static_cast<std::uint16_t>(sign | low);
  };
  if (magnitude > 0x7f800000u) return with_sign(0x7e00u | (magnitude >> 13 & 0x1ffu));
  if (magnitude >= 0x477ff000u) return with_sign(0x7c00u);  // 65520, halfway to 2^16
  if (magnitude < 0x33000000u) return sign;                 // below 2^-25, half the least denormal
  const std::uint32_t exponent = magnitude >> 23;           // biased by 127; 102 to 142 here
  const std::uint32_t dropped = exponent >= 113 ? 13 : 126 - exponent;  // 13 to 24 mantissa bits
  const std::uint32_t full =
      exponent >= 113 ? magnitude - (112u << 23) : (magnitude & 0x7fffffu) | 0x800000u;
  const std::uint32_t odd = full >> dropped & 1u;
  const std::uint32_t half = 1u << (dropped - 1);
  return with_sign((full + half - 1 + odd) >> dropped);
}

}  // namespace ollm
