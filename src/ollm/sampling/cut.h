// Where candidates, walked in order, have gathered enough mass; found without sorting them.
// Leaves to others: what the order and the mass mean (top-k, top-p and typical in sampler.cc).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace ollm::sampling {

/// The end of a walk: all candidates nearer than `distance` belong to it, and of those at that very
/// distance the first `ties` (>= 1), in the order they are stored.
struct Cut {
  double distance = 0;
  std::size_t ties = 0;
};

/// Finds cuts among up to a fixed number of candidates. Allocates in its constructor only.
///
/// A radix selection: sums the mass of each bucket of distances by the upper bits of the double,
/// steps into the bucket where the target is reached, and repeats with the bits below. Linear in
/// the candidates however they are distributed, and the order of additions depends on nothing but
/// them.
class CutFinder {
 public:
  explicit CutFinder(std::size_t candidates_max);

  /// Bytes that a finder for so many candidates holds.
  static std::uint64_t size_bytes(std::size_t candidates_max);

  /// Walks the candidates (1 to candidates_max) by rising |positions[i] - center|, equal ones in
  /// the order they are stored, up to and with the one at which the sum of masses reaches `target`
  /// (> 0); through all that have any mass, where the sum stays below it. Masses are >= 0 and not
  /// all 0, or none are given: then each candidate counts 1. Positions are >= 0, infinity included;
  /// `center` is finite.
  Cut find(std::span<const double> positions, double center, std::span<const double> masses,
           double target);

 private:
  std::vector<double> buckets_;
  std::vector<std::uint32_t> indices_;  // of the candidates in the bucket stepped into
};

}  // namespace ollm::sampling
