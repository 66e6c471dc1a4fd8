// CutFinder against a walk over sorted candidates, at sizes and ties that change its path.
// Leaves to others: what a cut is used for.
#include "ollm/sampling/cut.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <utility>

namespace ollm::sampling {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Cut by_sorting(const std::vector<double>& positions, double center,
               const std::vector<double>& masses, double target) {
  std::vector<std::size_t> order(positions.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto distance = [&](std::size_t i) { return std::abs(positions[i] - center); };
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::pair{distance(a), a} < std::pair{distance(b), b};
  });
  Cut cut;
  double sum = 0;
  for (const std::size_t i : order) {
    cut.ties = distance(i) == cut.distance ? cut.ties + 1 : 1;
    cut.distance = distance(i);
    sum += masses.empty() ? 1 : masses[i];
    if (sum >= target) break;
  }
  return cut;
}

void expect_same(const std::vector<double>& positions, double center,
                 const std::vector<double>& masses, double target) {
  CutFinder finder(positions.size());
  const Cut found = finder.find(positions, center, masses, target);
  const Cut expected = by_sorting(positions, center, masses, target);
  EXPECT_EQ(found.distance, expected.distance);
  EXPECT_EQ(found.ties, expected.ties);
}

TEST(CutFinder, FindsTheOnlyCandidate) {
  expect_same({3.5}, 0, {}, 1);
  expect_same({3.5}, 1, {0.25}, 0.1);
  expect_same({kInfinity}, 0, {}, 1);
}

// Masses are multiples of 1/1024, so that sums are exact in any order.
TEST(CutFinder, AgreesWithSortingAtAnySizeAndTarget) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 300; ++round) {
    SCOPED_TRACE(fmt::format("round {}", round));
    const std::size_t size = 1 + random() % 3000;
    std::vector<double> positions(size);
    std::vector<double> masses(size);
    // Every third round few values, so that many are equal.
    const std::uint64_t values = round % 3 == 0 ? 5 : std::uint64_t{1} << 40;
    for (double& x : positions)
      x = 40 * static_cast<double>(random() % values) / static_cast<double>(values);
    for (double& m : masses) m = static_cast<double>(random() % 1024) / 1024;
    masses[0] = 0.5;
    const double total = std::accumulate(masses.begin(), masses.end(), 0.0);
    const double share = static_cast<double>(1 + random() % 1000) / 1000;
    const double center = round % 2 == 0 ? 0 : 17.25;
    expect_same(positions, center, masses, share * total);
    expect_same(positions, center, {}, static_cast<double>(1 + random() % size));
  }
}

TEST(CutFinder, TellsCandidatesApartByTheirLastBit) {
  std::vector<double> positions;
  double x = 5;
  for (int i = 0; i < 1000; ++i) positions.push_back(x = std::nextafter(x, 6));
  std::reverse(positions.begin(), positions.end());
  for (const double k : {1.0, 2.0, 500.0, 999.0, 1000.0}) expect_same(positions, 0, {}, k);
}

TEST(CutFinder, CountsTiesInStoredOrder) {
  const std::vector<double> positions(500, 2.0);
  CutFinder finder(500);
  const Cut cut = finder.find(positions, 0, {}, 123);
  EXPECT_EQ(cut.distance, 2.0);
  EXPECT_EQ(cut.ties, 123U);
}

TEST(CutFinder, StopsAtTheLastMassWhereTheTargetIsNotReached) {
  const Cut cut =
      CutFinder(3).find(std::vector{1.0, 3.0, 2.0}, 0, std::vector{0.25, 0.25, 0.25}, 1);
  EXPECT_EQ(cut.distance, 3.0);
  EXPECT_EQ(cut.ties, 1U);
}

TEST(CutFinder, OrdersInfinityLast) {
  const std::vector<double> positions{kInfinity, 1, kInfinity, 2};
  expect_same(positions, 0, {}, 2);
  expect_same(positions, 1.5, {}, 3);
}

TEST(CutFinder, CanBeUsedAgain) {
  CutFinder finder(4);
  EXPECT_EQ(finder.find(std::vector{4.0, 3.0, 2.0, 1.0}, 0, {}, 4).distance, 4.0);
  EXPECT_EQ(finder.find(std::vector{4.0, 3.0, 2.0}, 0, {}, 1).distance, 2.0);
}

}  // namespace
}  // namespace ollm::sampling
