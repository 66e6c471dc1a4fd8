// exp(-d) in plain additions and products, so that it has the same bits on every machine.
// Leaves to others: the f32 functions of the kernels (backend/).
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace ollm {

namespace exp_negative_detail {

// exp(-d) = 2^(-q - j/64) exp(r), with d = (q + j/64) ln 2 - r and |r| <= ln(2) / 128.
inline constexpr int kSteps = 64;
inline constexpr double kLn2 = 0x1.62e42fefa39efp-1;

// 2^(-j/64), by the Taylor series of exp(-j/64 ln 2), which is shorter than 0.7. Made by the
// compiler, whose doubles are those of IEEE 754 whatever machine it runs on.
inline constexpr std::array<double, kSteps> kPowers = [] {
  std::array<double, kSteps> powers{};
  for (int j = 0; j < kSteps; ++j) {
    const double x = -kLn2 * j / kSteps;
    double sum = 1;
    for (int term = 22; term > 0; --term) sum = 1 + sum * x / term;
    powers[static_cast<std::size_t>(j)] = sum;
  }
  return powers;
}();

}  // namespace exp_negative_detail

/// exp(-distance), for distance >= 0 or infinity; within 4e-16, relative. Exactly 1 at 0; exactly 0
/// from a distance of 708 on, where a double would leave its normal range.
///
/// The C library's exp picks another algorithm where the processor has fused multiply-add, with
/// other last bits, and a last bit can decide which token is drawn.
inline double exp_negative(double distance) {
  using namespace exp_negative_detail;
  if (!(distance < 708)) return 0;
  // The upper part of ln(2) / 64 has 32 bits and the number of steps at most 17, so that their
  // product is exact.
  constexpr double kStepsPerUnit = kSteps / kLn2;
  constexpr double kStepUpper = 0x1.62e42fee00000p-7;
  constexpr double kStepLower = 0x1.a39ef35793c76p-39;
  const auto n = static_cast<std::int32_t>(distance * kStepsPerUnit + 0.5);
  const double r = (n * kStepUpper - distance) + n * kStepLower;
  // exp(r) - 1 by its Taylor series: the first term left out is below r^6 / 6! < 4e-17.
  const double tail = r * r * (0.5 + r * (1.0 / 6 + r * (1.0 / 24 + r * (1.0 / 120))));
  const auto j = static_cast<std::uint32_t>(n) % kSteps;
  const auto q = static_cast<std::uint32_t>(n) / kSteps;
  const double power = kPowers[j] * std::bit_cast<double>(std::uint64_t{1023 - q} << 52);
  return power + power * (r + tail);
}

}  // namespace ollm
