// How near exp_negative is to e^-d, and its exact ends.
// Leaves to others: its speed.
#include "ollm/base/exp.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace ollm {
namespace {

TEST(ExpNegative, IsExactlyOneAtZeroAndZeroFrom708) {
  EXPECT_EQ(exp_negative(0), 1);
  EXPECT_GT(exp_negative(std::nextafter(708, 0)), 0);
  EXPECT_EQ(exp_negative(708), 0);
  EXPECT_EQ(exp_negative(1e300), 0);
  EXPECT_EQ(exp_negative(std::numeric_limits<double>::infinity()), 0);
}

TEST(ExpNegative, StaysNormal) {
  EXPECT_GE(exp_negative(std::nextafter(708, 0)), std::numeric_limits<double>::min());
}

// The long double of x86-64 has 11 bits more than a double, so its exp may be taken for exact.
TEST(ExpNegative, IsWithinFourTimesTenToTheMinus16OfTheTruth) {
  static_assert(std::numeric_limits<long double>::digits >= 64);
  long double worst = 0;
  for (int i = 0; i < 1000000; ++i) {
    // Steps of an odd size over the whole range, and finer ones near 0.
    const double d = i % 2 == 0 ? 7.0799e-4 * i : 1.7e-6 * i;
    const long double truth = std::exp(-static_cast<long double>(d));
    const long double off = std::abs(static_cast<long double>(exp_negative(d)) - truth) / truth;
    worst = std::max(worst, off);
  }
  EXPECT_LT(worst, 4e-16L);
}

TEST(ExpNegative, NeverRises) {
  double before = 1;
  for (double d = 0; d < 708; d += 0.00317) {
    const double now = exp_negative(d);
    ASSERT_LE(now, before) << d;
    before = now;
  }
}

}  // namespace
}  // namespace ollm
