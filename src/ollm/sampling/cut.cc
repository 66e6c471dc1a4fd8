// Weighted radix selection over the bits of non-negative doubles.
// Leaves to others: filtering by the cut it finds (sampler.cc).
#include "ollm/sampling/cut.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "ollm/base/check.h"

namespace ollm::sampling {
namespace {

// 14 bits from the top, below the sign: the exponent and three bits, so that distances between 4
// and 32, where most logits of a vocabulary lie, spread over two dozen buckets in the first round.
constexpr int kDigitBits = 14;
constexpr int kFirstShift = 63 - kDigitBits;
constexpr std::size_t kBuckets = std::size_t{1} << kDigitBits;

// Up to here sorting is cheaper than one more round over the buckets.
constexpr std::size_t kSortMax = 256;

struct Walk {
  std::span<const double> positions;
  double center;
  std::span<const double> masses;

  double distance(std::size_t i) const { return std::abs(positions[i] - center); }
  // The bits of non-negative doubles rise as the doubles do.
  std::uint64_t key(std::size_t i) const { return std::bit_cast<std::uint64_t>(distance(i)); }
  std::size_t bucket(std::size_t i, int shift) const {
    return static_cast<std::size_t>(key(i) >> shift) & (kBuckets - 1);
  }
  double mass(std::size_t i) const { return masses.empty() ? 1 : masses[i]; }
};

struct Chosen {
  std::size_t bucket;
  double before;  // mass of all buckets below
};

// The bucket at which the sum reaches the target: the last one with any mass, where rounding keeps
// it below.
Chosen choose_bucket(const std::vector<double>& buckets, double before, double target) {
  Chosen last{0, before};
  for (std::size_t b = 0; b < kBuckets; ++b) {
    if (buckets[b] == 0) continue;
    last = {b, before};
    before += buckets[b];
    if (before >= target) break;
  }
  return last;
}

// The cut among a few candidates in the order of the walk, or among many at one distance.
Cut walk_sorted(const Walk& walk, std::span<const std::uint32_t> sorted, double before,
                double target) {
  Cut cut;
  for (const std::uint32_t i : sorted) {
    const double distance = walk.distance(i);
    cut.ties = distance == cut.distance ? cut.ties + 1 : 1;
    cut.distance = distance;
    before += walk.mass(i);
    if (before >= target) break;
  }
  return cut;
}

}  // namespace

CutFinder::CutFinder(std::size_t candidates_max) : buckets_(kBuckets), indices_(candidates_max) {}

std::uint64_t CutFinder::size_bytes(std::size_t candidates_max) {
  return kBuckets * sizeof(double) + std::uint64_t{candidates_max} * sizeof(std::uint32_t);
}

Cut CutFinder::find(std::span<const double> positions, double center,
                    std::span<const double> masses, double target) {
  OLLM_CHECK(!positions.empty() && positions.size() <= indices_.size());
  OLLM_CHECK(masses.empty() || masses.size() == positions.size());
  OLLM_CHECK(target > 0);
  const Walk walk{positions, center, masses};

  // The first round reads all candidates in place, and lists those of the bucket it stepped into.
  int shift = kFirstShift;
  Chosen chosen{0, 0};
  std::size_t count = 0;
  const bool few = positions.size() <= kSortMax;
  if (!few) {
    std::fill(buckets_.begin(), buckets_.end(), 0.0);
    for (std::size_t i = 0; i < positions.size(); ++i) {
      buckets_[walk.bucket(i, shift)] += walk.mass(i);
    }
    chosen = choose_bucket(buckets_, 0, target);
  }
  for (std::size_t i = 0; i < positions.size(); ++i) {
    indices_[count] = static_cast<std::uint32_t>(i);
    count += few || walk.bucket(i, shift) == chosen.bucket ? 1 : 0;
  }

  while (count > kSortMax && shift > 0) {
    // The last digit may reach into bits already looked at; they are equal here and do no harm.
    shift = std::max(shift - kDigitBits, 0);
    std::fill(buckets_.begin(), buckets_.end(), 0.0);
    for (std::size_t j = 0; j < count; ++j) {
      buckets_[walk.bucket(indices_[j], shift)] += walk.mass(indices_[j]);
    }
    chosen = choose_bucket(buckets_, chosen.before, target);
    std::size_t kept = 0;
    for (std::size_t j = 0; j < count; ++j) {
      if (walk.bucket(indices_[j], shift) == chosen.bucket) indices_[kept++] = indices_[j];
    }
    count = kept;
  }

  // More than kSortMax are left only if they agree in all bits: then they are in order already.
  const std::span<std::uint32_t> left(indices_.data(), count);
  if (count <= kSortMax) {
    std::sort(left.begin(), left.end(), [&](std::uint32_t a, std::uint32_t b) {
      return walk.key(a) != walk.key(b) ? walk.key(a) < walk.key(b) : a < b;
    });
  }
  return walk_sorted(walk, left, chosen.before, target);
}

}  // namespace ollm::sampling
