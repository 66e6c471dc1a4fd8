// Philox against its authors' known answers; the noise as a function of seed and position.
// Leaves to others: the distribution of tokens (sampling_distribution_test.cc).
#include "ollm/sampling/noise.h"

#include <gtest/gtest.h>

#include <limits>
#include <set>
#include <vector>

namespace ollm::sampling {
namespace {

using Words = std::array<std::uint32_t, 4>;

// Random123, tests/kat_vectors, the lines "philox4x32 10".
TEST(Philox, GivesTheKnownAnswersOfItsAuthors) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Noise, IsTheUpper53BitsOfTheFirstTwoWords) {
  // From the first known answer: seed 0, position 0, purpose 0.
  EXPECT_EQ(uniform(0, 0, NoisePurpose::token),
            static_cast<double>(0xe169c58d6627e8d5 >> 11) * 0x1p-53);
}

TEST(Noise, DependsOnEveryBitOfSeedAndPosition) {
  std::set<double> seen{uniform(0, 0, NoisePurpose::token)};
  for (int bit = 0; bit < 64; ++bit) {
    EXPECT_TRUE(seen.insert(uniform(std::uint64_t{1} << bit, 0, NoisePurpose::token)).second);
    EXPECT_TRUE(seen.insert(uniform(0, std::size_t{1} << bit, NoisePurpose::token)).second);
  }
}

// Chi-square over cells of equal probability. The bounds are the 0.0005 and 0.9995 quantiles for
// 255 degrees of freedom (scipy.stats.chi2.ppf), so that too even is refused as well as too uneven.
constexpr double kLowest255 = 187.2;
constexpr double kHighest255 = 335.9;

double chi_square(const std::vector<std::size_t>& counts) {
  double total = 0;
  for (const std::size_t count : counts) total += static_cast<double>(count);
  const double expected = total / static_cast<double>(counts.size());
  double sum = 0;
  for (const std::size_t count : counts) {
    const double off = static_cast<double>(count) - expected;
    sum += off * off / expected;
  }
  return sum;
}

TEST(Noise, IsEvenOverPositions) {
  for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{42},
                                   std::numeric_limits<std::uint64_t>::max()}) {
    std::vector<std::size_t> counts(256);
    for (std::size_t position = 0; position < 256000; ++position) {
      const double u = uniform(seed, position, NoisePurpose::token);
      ASSERT_TRUE(u >= 0 && u < 1);
      ++counts[static_cast<std::size_t>(u * 256)];
    }
    EXPECT_GT(chi_square(counts), kLowest255) << "seed " << seed;
    EXPECT_LT(chi_square(counts), kHighest255) << "seed " << seed;
  }
}

TEST(Noise, IsEvenOverSeedsAtOnePosition) {
  std::vector<std::size_t> counts(256);
  for (std::uint64_t seed = 0; seed < 256000; ++seed) {
    ++counts[static_cast<std::size_t>(uniform(seed, 7, NoisePurpose::token) * 256)];
  }
  EXPECT_GT(chi_square(counts), kLowest255);
  EXPECT_LT(chi_square(counts), kHighest255);
}

// Pairs over 16 x 16 cells: neighbours in position, and neighbours in seed.
TEST(Noise, HasIndependentNeighbours) {
  std::vector<std::size_t> by_position(256);
  std::vector<std::size_t> by_seed(256);
  const auto cell = [](std::uint64_t seed, std::size_t position) {
    return static_cast<std::size_t>(uniform(seed, position, NoisePurpose::token) * 16);
  };
  for (std::size_t i = 0; i < 256000; ++i) {
    ++by_position[cell(3, 2 * i) * 16 + cell(3, 2 * i + 1)];
    ++by_seed[cell(2 * i, 9) * 16 + cell(2 * i + 1, 9)];
  }
  for (const auto& counts : {by_position, by_seed}) {
    EXPECT_GT(chi_square(counts), kLowest255);
    EXPECT_LT(chi_square(counts), kHighest255);
  }
}

}  // namespace
}  // namespace ollm::sampling
