// Accuracy of our own exp, tanh, sine, cosine and activations against functions in double, in units
// in the last place of an f32, and the same bits of them from every table.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <numbers>

#include "ollm/backend/cpu/cpu_backend.h"
#include "ollm/backend/float_mode.h"
#include "ollm/backend/kernel_fixture.h"

namespace ollm::backend {
namespace {

// |got - truth| over the distance of f32 values around the truth.
double ulps(float got, double truth) {
  int exponent = 0;
  std::frexp(truth, &exponent);
  const double ulp = std::ldexp(1.0, std::max(exponent - 24, -149));
  return std::abs(static_cast<double>(got) - truth) / ulp;
}

// Every `stride`-th float from `low` to `high`, both of one sign or around zero.
std::vector<float> floats_between(float low, float high, std::uint32_t stride) {
  std::vector<float> values;
  const auto add = [&](float from, float to, float sign) {
    for (std::uint32_t bits = std::bit_cast<std::uint32_t>(from);
         bits <= std::bit_cast<std::uint32_t>(to); bits += stride)
      values.push_back(sign * std::bit_cast<float>(bits));
  };
  if (low < 0) add(std::max(-high, std::numeric_limits<float>::min()), -low, -1);
  if (high > 0) add(std::max(low, std::numeric_limits<float>::min()), high, 1);
  return values;
}

using Kernel = void (*)(const float*, float*, std::size_t);

double largest_error(Kernel kernel, const std::vector<float>& x,
                     const std::function<double(double)>& truth) {
  std::vector<float> out(x.size());
  {
    const FloatMode mode;
    kernel(x.data(), out.data(), x.size());
  }
  double largest = 0;
  for (std::size_t i = 0; i < x.size(); ++i)
    largest = std::max(largest, ulps(out[i], truth(static_cast<double>(x[i]))));
  return largest;
}

// The fastest table; the others have the same bits.
const cpu::Kernels& fastest() { return cpu::kernels_of(best_isa(ComputeMode::f32)); }

TEST(Exp, IsWithinOneUlp) {
  // From ln 2^-126 to ln 2^128; a prime stride reaches all exponents and low bits.
  const std::vector<float> x = floats_between(-87.3365f, 88.7228f, 199);
  const double error = largest_error(fastest().exp, x, [](double v) { return std::exp(v); });
  RecordProperty("largest_error_ulps", std::to_string(error));
  EXPECT_LT(error, 1.0);
}

TEST(Exp, EndsAtZeroAndInfinityAndKeepsNan) {
  const FloatMode mode;
  const float inf = std::numeric_limits<float>::infinity();
  for (const Isa isa : supported_isas()) {
    const float x[] = {-inf, -88.0f, -87.34f, 0.0f, 88.73f, inf, std::nanf("")};
    float out[7];
    cpu::kernels_of(isa).exp(x, out, 7);
    EXPECT_EQ(out[0], 0);
    EXPECT_EQ(out[1], 0);
    EXPECT_EQ(out[2], 0);
    EXPECT_EQ(out[3], 1);
    EXPECT_EQ(out[4], inf);
    EXPECT_EQ(out[5], inf);
    EXPECT_TRUE(std::isnan(out[6]));
  }
}

TEST(Exp, IsMonotonicAtItsEnds) {
  const FloatMode mode;
  const std::vector<float> x = {-87.33655f, -87.33654f, -87.3365f, 88.7228f, 88.72283f, 88.7229f};
  std::vector<float> out(x.size());
  fastest().exp(x.data(), out.data(), x.size());
  EXPECT_TRUE(std::is_sorted(out.begin(), out.end()));
  EXPECT_LT(out[3], std::numeric_limits<float>::infinity());
}

TEST(Tanh, IsWithinTwoUlp) {
  const std::vector<float> x = floats_between(-12, 12, 499);
  const double error = largest_error(fastest().tanh, x, [](double v) { return std::tanh(v); });
  RecordProperty("largest_error_ulps", std::to_string(error));
  EXPECT_LT(error, 2.0);
}

TEST(Activations, AreWithinTheirStatedErrors) {
  const auto silu = [](double v) { return v / (1 + std::exp(-v)); };
  const auto gelu = [](double v) { return v * 0.5 * std::erfc(-v / std::numbers::sqrt2); };
  const auto gelu_tanh = [](double v) {
    // x / (1 + e^-2u) is the same without the cancellation that 1 + tanh has in the lower tail.
    const double u = std::sqrt(2 / std::numbers::pi) * (v + 0.044715 * v * v * v);
    return v / (1 + std::exp(-2 * u));
  };
  const auto relative = [](std::size_t index, const std::vector<float>& x, const auto& truth) {
    std::vector<float> out(x.size());
    const FloatMode mode;
    fastest().activate[index](x.data(), nullptr, out.data(), x.size());
    double largest = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double t = truth(static_cast<double>(x[i]));
      if (std::abs(t) < 1e-36) continue;  // near the denormals
      largest = std::max(largest, std::abs(static_cast<double>(out[i]) - t) / std::abs(t));
    }
    return largest;
  };
  EXPECT_LT(relative(0, floats_between(-80, 80, 997), silu), 5e-7);
  EXPECT_LT(relative(1, floats_between(-6, 80, 997), gelu), 2e-6);
  EXPECT_LT(relative(1, floats_between(-12, 80, 997), gelu), 4e-6);
  EXPECT_LT(relative(2, floats_between(-2, 80, 997), gelu_tanh), 2e-6);
}

TEST(Rotary, SineAndCosineAreExactToOneUlpUpTo2To24) {
  std::mt19937 random(1);
  std::vector<std::uint32_t> positions;
  for (int i = 0; i < 20000; ++i) positions.push_back(static_cast<std::uint32_t>(random() >> 8));
  for (std::uint32_t i = 0; i < 2000; ++i) positions.push_back(i);
  // Those whose angle is nearest to a multiple of pi / 2: numerators of its continued fraction.
  for (const std::uint32_t near :
       {11u, 22u, 355u, 710u, 103993u, 208341u, 312689u, 1146408u, 4272943u})
    positions.push_back(near);
  std::vector<float> frequencies;
  for (int i = 0; i < 9; ++i)
    frequencies.push_back(std::pow(10000.0f, -static_cast<float>(i) / 9.0f));
  const std::size_t pairs = frequencies.size();
  std::vector<float> cos(positions.size() * pairs);
  std::vector<float> sin(cos.size());
  fastest().rotary_table(positions.data(), positions.size(), frequencies.data(), pairs, 1,
                         cos.data(), sin.data());
  double largest = 0;
  for (std::size_t r = 0; r < positions.size(); ++r) {
    for (std::size_t i = 0; i < pairs; ++i) {
      const auto angle =
          static_cast<long double>(static_cast<float>(positions[r]) * frequencies[i]);
      const auto truth_cos = static_cast<double>(std::cos(angle));
      const auto truth_sin = static_cast<double>(std::sin(angle));
      largest = std::max(largest, ulps(cos[r * pairs + i], truth_cos));
      largest = std::max(largest, ulps(sin[r * pairs + i], truth_sin));
    }
  }
  RecordProperty("largest_error_ulps", std::to_string(largest));
  EXPECT_LT(largest, 0.501);
}

TEST(Math, EveryTableGivesTheSameBits) {
  const FloatMode mode;
  std::vector<float> x = floats_between(-100, 100, 40009);
  for (const float special : {0.0f, -0.0f, std::numeric_limits<float>::infinity(),
                              -std::numeric_limits<float>::infinity(),
                              std::numeric_limits<float>::denorm_min(), 1e38f, -1e38f})
    x.push_back(special);
  const cpu::Kernels& scalar = cpu::kScalarKernels;
  for (const Isa isa : supported_isas()) {
    SCOPED_TRACE(to_string(isa));
    const cpu::Kernels& table = cpu::kernels_of(isa);
    std::vector<float> expected(x.size());
    std::vector<float> got(x.size());
    scalar.exp(x.data(), expected.data(), x.size());
    table.exp(x.data(), got.data(), x.size());
    EXPECT_TRUE(same_bits(expected, got)) << "exp";
    scalar.tanh(x.data(), expected.data(), x.size());
    table.tanh(x.data(), got.data(), x.size());
    EXPECT_TRUE(same_bits(expected, got)) << "tanh";
    for (std::size_t activation = 0; activation < 5; ++activation) {
      scalar.activate[activation](x.data(), nullptr, expected.data(), x.size());
      table.activate[activation](x.data(), nullptr, got.data(), x.size());
      EXPECT_TRUE(same_bits(expected, got)) << "activation " << activation;
    }
  }
}

}  // namespace
}  // namespace ollm::backend
