#include "ollm/models/blocks/routing.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ollm/base/check.h"
#include "ollm/base/exp.h"

namespace ollm::models {
namespace {

constexpr double kSmallest = std::numeric_limits<float>::min();
constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();

// Without denormals, which some modes of the floating-point unit take for zero.
double normal(double x) { return std::abs(x) < kSmallest ? 0 : x; }
float rounded(double x) { return static_cast<float>(normal(x)); }
double read(float x) { return normal(static_cast<double>(x)); }

// exp(-distance), zero where f32 has none; so that a quotient of two is no denormal double.
double exponential(double distance) { return normal(exp_negative(distance)); }

double sigmoid_of(double x) {
  const double e = exponential(std::abs(x));
  return x < 0 ? e / (1 + e) : 1 / (1 + e);
}

// One row on its way through the rule.
class Row {
 public:
  Row(const RouterSpec& router, const float* products, const float* correction, float* scratch)
      : router_(router),
        experts_(router.products.out),
        products_(products),
        correction_(correction),
        scores_(scratch),
        groups_(scratch + experts_) {}

  bool finite() const {
    return std::all_of(products_, products_ + experts_,
                       [](float product) { return std::isfinite(product); });
  }

  void run(std::uint32_t* ids, float* weights) {
    if (router_.scores == RouterSpec::Scores::sparse_mixer) return mix_sparsely(ids, weights);
    score();
    if (router_.groups > 1) keep_best_groups();
    choose(ids);
    if (router_.scores == RouterSpec::Scores::softmax_of_chosen) score_chosen(ids);
    weigh(ids, weights);
  }

 private:
  double product(std::size_t expert) const { return read(products_[expert]); }

  double largest_product() const {
    return read(*std::max_element(products_, products_ + experts_));
  }

  void score() {
    if (router_.scores == RouterSpec::Scores::softmax_of_chosen) {
      for (std::size_t i = 0; i < experts_; ++i) scores_[i] = rounded(product(i));
    } else if (router_.scores == RouterSpec::Scores::sigmoid) {
      for (std::size_t i = 0; i < experts_; ++i) scores_[i] = rounded(sigmoid_of(product(i)));
    } else {
      const double most = largest_product();
      double sum = 0;
      for (std::size_t i = 0; i < experts_; ++i) {
        const double e = exponential(most - product(i));
        scores_[i] = static_cast<float>(e);
        sum += e;
      }
      for (std::size_t i = 0; i < experts_; ++i) scores_[i] = rounded(scores_[i] / sum);
    }
  }

  // What decides whether an expert is chosen. A NaN among corrections loses against all numbers.
  double for_choice(std::size_t expert) const {
    if (router_.groups > 1 && groups_[expert / group_size()] == 0) return kMinusInfinity;
    if (correction_ == nullptr) return scores_[expert];
    const double corrected = scores_[expert] + read(correction_[expert]);
    return std::isnan(corrected) ? kMinusInfinity : corrected;
  }

  std::size_t group_size() const { return experts_ / router_.groups; }

  // Marks the best groups with 1, the others with 0.
  void keep_best_groups() {
    std::fill_n(groups_, router_.groups, 1.0F);  // so that for_choice asks every expert
    float* const goodness = groups_ + router_.groups;
    for (std::size_t group = 0; group < router_.groups; ++group)
      goodness[group] = group_goodness(group);
    std::fill_n(groups_, router_.groups, 0.0F);
    for (std::size_t kept = 0; kept < router_.chosen_groups; ++kept) {
      std::size_t best = router_.groups;
      for (std::size_t group = 0; group < router_.groups; ++group)
        if (groups_[group] == 0 && (best == router_.groups || goodness[group] > goodness[best]))
          best = group;
      groups_[best] = 1;
    }
  }

  float group_goodness(std::size_t group) const {
    double first = kMinusInfinity;
    double second = kMinusInfinity;
    for (std::size_t i = 0; i < group_size(); ++i) {
      const double score = for_choice(group * group_size() + i);
      second = std::max(second, std::min(first, score));
      first = std::max(first, score);
    }
    return rounded(router_.best_of_group ? first : first + second);
  }

  // Ascending ids of the best; of equal ones the lower.
  void choose(std::uint32_t* ids) {
    std::size_t count = 0;  // in falling order of scores so far
    for (std::size_t expert = 0; expert < experts_; ++expert) {
      const double score = for_choice(expert);
      if (count == router_.chosen && score <= for_choice(ids[count - 1])) continue;
      std::size_t place = count < router_.chosen ? count++ : count - 1;
      for (; place > 0 && for_choice(ids[place - 1]) < score; --place) ids[place] = ids[place - 1];
      ids[place] = static_cast<std::uint32_t>(expert);
    }
    std::sort(ids, ids + count);
  }

  void score_chosen(const std::uint32_t* ids) {
    double most = kMinusInfinity;
    for (std::size_t i = 0; i < router_.chosen; ++i) most = std::max(most, product(ids[i]));
    double sum = 0;
    for (std::size_t i = 0; i < router_.chosen; ++i) sum += exponential(most - product(ids[i]));
    for (std::size_t i = 0; i < router_.chosen; ++i)
      scores_[ids[i]] = rounded(exponential(most - product(ids[i])) / sum);
  }

  void weigh(const std::uint32_t* ids, float* weights) const {
    double divisor = 1;
    if (router_.normalised) {
      double sum = 0;
      for (std::size_t i = 0; i < router_.chosen; ++i) sum += scores_[ids[i]];
      divisor = std::max(sum, read(router_.least_sum)) + read(router_.sum_offset);
    }
    for (std::size_t i = 0; i < router_.chosen; ++i)
      weights[i] = rounded(scores_[ids[i]] / divisor * router_.scaling);
  }

  // The best, and the best of the others; each weighs its softmax over those that are near to it,
  // by a distance that is relative to the larger of both. Source: Liu et al., "GRIN:
  // GRadient-INformed MoE", 2024; Transformers, phimoe, sparsemixer.
  void mix_sparsely(std::uint32_t* ids, float* weights) const {
    std::size_t first = experts_;
    for (std::size_t round = 0; round < 2; ++round) {
      std::size_t best = experts_;
      for (std::size_t i = 0; i < experts_; ++i)
        if (i != first && (best == experts_ || product(i) > product(best))) best = i;
      const double most = product(best);
      double sum = 0;
      for (std::size_t i = 0; i < experts_; ++i) {
        const double distance = most - product(i);
        const double unit = std::max(std::abs(product(i)), most);
        if (i != first && !(distance / unit > 2 * read(router_.jitter)))
          sum += exponential(distance);
      }
      ids[round] = static_cast<std::uint32_t>(best);
      weights[round] = rounded(1 / sum);
      first = best;
    }
    if (ids[0] < ids[1]) return;
    std::swap(ids[0], ids[1]);
    std::swap(weights[0], weights[1]);
  }

  const RouterSpec& router_;
  const std::size_t experts_;
  const float* const products_;
  const float* const correction_;
  float* const scores_;  // [experts]
  float* const groups_;  // [groups] whether it is kept, [groups] how good it is
};

}  // namespace

float sigmoid(float x) { return rounded(sigmoid_of(read(x))); }

std::size_t routing_floats(const RouterSpec& router) {
  return router.products.out + 2 * router.groups;
}

void route(const RouterSpec& router, const float* products, const float* correction,
           std::span<float> scratch, std::uint32_t* ids, float* weights) {
  OLLM_CHECK(scratch.size() >= routing_floats(router));
  OLLM_CHECK(router.chosen >= 1 && router.chosen <= router.products.out);
  OLLM_CHECK(router.scores != RouterSpec::Scores::sparse_mixer || router.chosen == 2);
  Row row(router, products, correction, scratch.data());
  if (row.finite()) return row.run(ids, weights);
  for (std::size_t i = 0; i < router.chosen; ++i) {
    ids[i] = static_cast<std::uint32_t>(i);
    weights[i] = std::numeric_limits<float>::quiet_NaN();
  }
}

}  // namespace ollm::models
