#include "ollm/tensor/float16.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>

namespace ollm {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::uint32_t bits_of(float value) { return std::bit_cast<std::uint32_t>(value); }

// The value of a 16-bit float by its definition, in double arithmetic (exact for both formats).
double defined_value(std::uint16_t bits, int mantissa_bits, int bias) {
  const int exponent_mask = (1 << (15 - mantissa_bits)) - 1;
  const int exponent = bits >> mantissa_bits & exponent_mask;
  const int mantissa = bits & ((1 << mantissa_bits) - 1);
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  if (exponent == exponent_mask)
    return mantissa != 0 ? std::numeric_limits<double>::quiet_NaN() : sign * HUGE_VAL;
  if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
  return sign * std::ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
}

struct Format {
  const char* name;
  float (*widen)(std::uint16_t);
  std::uint16_t (*narrow)(float);
  int mantissa_bits;
  int bias;
};

class SixteenBits : public ::testing::TestWithParam<Format> {};

TEST_P(SixteenBits, EveryValueIsExact) {
  const Format& format = GetParam();
  for (std::uint32_t i = 0; i < 65536; ++i) {
    const auto bits = static_cast<std::uint16_t>(i);
    const float value = format.widen(bits);
    const double defined = defined_value(bits, format.mantissa_bits, format.bias);
    if (std::isnan(defined)) {
      ASSERT_TRUE(std::isnan(value)) << i;
    } else {
      ASSERT_EQ(static_cast<double>(value), defined) << i;
    }
    ASSERT_EQ(std::signbit(value), (bits & 0x8000) != 0) << i;
  }
}

TEST_P(SixteenBits, EveryValueComesBack) {
  const Format& format = GetParam();
  for (std::uint32_t i = 0; i < 65536; ++i) {
    const auto bits = static_cast<std::uint16_t>(i);
    const float value = format.widen(bits);
    const std::uint16_t back = format.narrow(value);
    if (std::isnan(value)) {
      ASSERT_TRUE(std::isnan(format.widen(back))) << i;
      ASSERT_EQ(back & 0x8000, bits & 0x8000) << i;
      // Made quiet, otherwise unchanged.
      ASSERT_EQ(back, bits | 1 << (format.mantissa_bits - 1)) << i;
    } else {
      ASSERT_EQ(back, bits) << i;
    }
  }
}

// Between each two neighbours: the midpoint goes to the even one, the nearest f32 on either side of
// it to the nearer one.
TEST_P(SixteenBits, RoundsToNearestTiesToEven) {
  const Format& format = GetParam();
  const auto infinity = format.narrow(kInfinity);
  for (std::uint16_t low = 0; low < infinity; ++low) {
    const auto high = static_cast<std::uint16_t>(low + 1);
    const double a = format.widen(low);
    // Infinity stands where the next finite value would.
    const double b = high == infinity ? 2 * a - format.widen(static_cast<std::uint16_t>(low - 1))
                                      : static_cast<double>(format.widen(high));
    const double middle = (a + b) / 2;
    const auto tie = static_cast<float>(middle);
    const float below = std::nextafter(tie, 0.0f);
    const float above = std::nextafter(tie, kInfinity);
    ASSERT_EQ(static_cast<double>(tie), middle) << low;  // f32 holds every midpoint
    ASSERT_EQ(format.narrow(tie), low % 2 == 0 ? low : high) << low;
    ASSERT_EQ(format.narrow(below), low) << low;
    ASSERT_EQ(format.narrow(above), high) << low;
    ASSERT_EQ(format.narrow(-tie), (low % 2 == 0 ? low : high) | 0x8000) << low;
  }
}

TEST_P(SixteenBits, NaNStaysNaN) {
  const Format& format = GetParam();
  for (std::uint32_t payload = 1; payload < 0x800000; payload += payload < 70000 ? 1 : 977) {
    for (const std::uint32_t sign : {0u, 0x80000000u}) {
      const float nan = std::bit_cast<float>(sign | 0x7f800000u | payload);
      const std::uint16_t narrow = format.narrow(nan);
      ASSERT_TRUE(std::isnan(format.widen(narrow))) << payload;
      ASSERT_EQ((narrow & 0x8000) != 0, sign != 0) << payload;
    }
  }
}

TEST_P(SixteenBits, RandomValuesGoToTheNearest) {
  const Format& format = GetParam();
  std::mt19937 random(1);
  for (int i = 0; i < 200000; ++i) {
    const float value = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    if (!std::isfinite(value)) continue;
    const std::uint16_t narrow = format.narrow(value);
    const double distance = std::abs(static_cast<double>(format.widen(narrow)) - value);
    if (!std::isfinite(format.widen(narrow))) continue;  // held by the test of ties
    for (const int step : {-1, 1}) {
      const auto neighbour = static_cast<std::uint16_t>(narrow + step);
      const double other = format.widen(neighbour);
      if (!std::isfinite(other)) continue;
      ASSERT_LE(distance, std::abs(other - value)) << bits_of(value);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, SixteenBits,
                         ::testing::Values(Format{"bf16", bf16_to_f32, f32_to_bf16, 7, 127},
                                           Format{"f16", f16_to_f32, f32_to_f16, 10, 15}),
                         [](const auto& param_info) { return std::string(param_info.param.name); });

TEST(F16, KnownValues) {
  EXPECT_EQ(f16_to_f32(0x3c00), 1.0f);
  EXPECT_EQ(f16_to_f32(0x0001), std::ldexp(1.0f, -24));
  EXPECT_EQ(f16_to_f32(0x7bff), 65504.0f);
  EXPECT_EQ(f32_to_f16(65519.996f), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(f32_to_f16(3.4e38f), 0x7c00);
  EXPECT_EQ(f32_to_f16(std::ldexp(1.0f, -25)), 0);  // a tie, zero is even
  EXPECT_EQ(f32_to_f16(-std::ldexp(1.5f, -25)), 0x8001);
}

TEST(Bf16, KnownValues) {
  EXPECT_EQ(bf16_to_f32(0x3f80), 1.0f);
  EXPECT_EQ(f32_to_bf16(1.0f), 0x3f80);
  EXPECT_EQ(f32_to_bf16(std::numeric_limits<float>::max()), 0x7f80);
  EXPECT_EQ(f32_to_bf16(std::numeric_limits<float>::denorm_min()), 0);
}

static_assert(f32_to_f16(0.5f) == 0x3800 && f16_to_f32(0x3800) == 0.5f, "usable in constants");

}  // namespace
}  // namespace ollm
