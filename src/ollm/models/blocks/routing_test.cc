// The routers' rules against plain transcriptions of Transformers' formulas in doubles.
#include "ollm/models/blocks/routing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "ollm/backend/float_mode.h"

namespace ollm::models {
namespace {

using Numbers = std::vector<double>;
using Scores = RouterSpec::Scores;

constexpr std::size_t kExperts = 24;

struct Routed {
  std::vector<std::uint32_t> ids;
  std::vector<float> weights;
};

Routed routed(RouterSpec router, const std::vector<float>& products,
              const std::vector<float>& correction = {}) {
  router.products.out = products.size();
  Routed out{std::vector<std::uint32_t>(router.chosen), std::vector<float>(router.chosen)};
  std::vector<float> scratch(routing_floats(router));
  route(router, products.data(), correction.empty() ? nullptr : correction.data(), scratch,
        out.ids.data(), out.weights.data());
  return out;
}

Numbers softmax(const Numbers& x) {
  const double most = *std::max_element(x.begin(), x.end());
  Numbers out;
  for (const double value : x) out.push_back(std::exp(value - most));
  const double sum = std::accumulate(out.begin(), out.end(), 0.0);
  for (double& value : out) value /= sum;
  return out;
}

Numbers sigmoid(const Numbers& x) {
  Numbers out;
  for (const double value : x) out.push_back(1 / (1 + std::exp(-value)));
  return out;
}

// torch.topk, its ids ascending.
std::vector<std::size_t> top(const Numbers& x, std::size_t count) {
  std::vector<std::size_t> ids(x.size());
  std::iota(ids.begin(), ids.end(), std::size_t{0});
  std::stable_sort(ids.begin(), ids.end(),
                   [&](std::size_t a, std::size_t b) { return x[a] > x[b]; });
  ids.resize(count);
  std::sort(ids.begin(), ids.end());
  return ids;
}

Numbers gather(const Numbers& x, const std::vector<std::size_t>& ids) {
  Numbers out;
  for (const std::size_t id : ids) out.push_back(x[id]);
  return out;
}

double sum_of(const Numbers& x) { return std::accumulate(x.begin(), x.end(), 0.0); }

struct Expected {
  std::vector<std::size_t> ids;
  Numbers weights;
};

// Mixtral, Qwen 2 and 3.
Expected softmax_then_choose(const RouterSpec& router, const Numbers& products, const Numbers&) {
  const Numbers scores = softmax(products);
  Expected out{top(scores, router.chosen), {}};
  out.weights = gather(scores, out.ids);
  const double sum = sum_of(out.weights);
  if (router.normalised)
    for (double& weight : out.weights) weight /= sum;
  return out;
}

// gpt-oss, GraniteMoe.
Expected choose_then_softmax(const RouterSpec& router, const Numbers& products, const Numbers&) {
  Expected out{top(products, router.chosen), {}};
  out.weights = softmax(gather(products, out.ids));
  return out;
}

// Ernie 4.5.
Expected corrected_softmax(const RouterSpec& router, const Numbers& products,
                           const Numbers& correction) {
  const Numbers scores = softmax(products);
  Numbers corrected = scores;
  for (std::size_t i = 0; i < scores.size(); ++i) corrected[i] += correction[i];
  Expected out{top(corrected, router.chosen), {}};
  out.weights = gather(scores, out.ids);
  const double sum = std::max(sum_of(out.weights), static_cast<double>(router.least_sum));
  for (double& weight : out.weights) weight /= sum;
  return out;
}

// A group each for the best of which `goodness` is largest; minus infinity elsewhere.
Numbers in_best_groups(const RouterSpec& router, const Numbers& scores, double elsewhere,
                       const std::function<double(Numbers)>& goodness) {
  const std::size_t size = scores.size() / router.groups;
  Numbers groups;
  for (std::size_t group = 0; group < router.groups; ++group) {
    const auto begin = scores.begin() + static_cast<std::ptrdiff_t>(group * size);
    groups.push_back(goodness(Numbers(begin, begin + static_cast<std::ptrdiff_t>(size))));
  }
  const auto kept = top(groups, router.chosen_groups);
  Numbers out = scores;
  for (std::size_t i = 0; i < scores.size(); ++i)
    if (std::find(kept.begin(), kept.end(), i / size) == kept.end()) out[i] = elsewhere;
  return out;
}

// DeepSeek V3, GLM 4.5, MiniMax M2.
Expected corrected_sigmoid(const RouterSpec& router, const Numbers& products,
                           const Numbers& correction) {
  const Numbers scores = sigmoid(products);
  Numbers corrected = scores;
  for (std::size_t i = 0; i < scores.size(); ++i) corrected[i] += correction[i];
  corrected =
      in_best_groups(router, corrected, -std::numeric_limits<double>::infinity(),
                     [](const Numbers& group) { return sum_of(gather(group, top(group, 2))); });
  Expected out{top(corrected, router.chosen), {}};
  out.weights = gather(scores, out.ids);
  const double sum = sum_of(out.weights) + static_cast<double>(router.sum_offset);
  for (double& weight : out.weights) {
    if (router.normalised) weight /= sum;
    weight *= static_cast<double>(router.scaling);
  }
  return out;
}

// DeepSeek V2, group_limited_greedy.
Expected grouped_softmax(const RouterSpec& router, const Numbers& products, const Numbers&) {
  const Numbers scores = in_best_groups(router, softmax(products), 0, [](const Numbers& group) {
    return *std::max_element(group.begin(), group.end());
  });
  Expected out{top(scores, router.chosen), {}};
  out.weights = gather(scores, out.ids);
  for (double& weight : out.weights) weight *= static_cast<double>(router.scaling);
  return out;
}

// Phi-3.5-MoE's sparsemixer, as it runs outside training.
Expected sparse_mixer(const RouterSpec& router, const Numbers& products, const Numbers&) {
  constexpr double kMinus = -std::numeric_limits<double>::infinity();
  Numbers left = products;
  std::vector<std::pair<std::size_t, double>> chosen;
  for (std::size_t round = 0; round < 2; ++round) {
    const auto best =
        static_cast<std::size_t>(std::max_element(left.begin(), left.end()) - left.begin());
    Numbers near = left;
    for (std::size_t i = 0; i < left.size(); ++i) {
      const double factor = std::max(std::abs(products[i]), left[best]);
      if ((left[best] - products[i]) / factor > 2 * static_cast<double>(router.jitter))
        near[i] = kMinus;
    }
    chosen.emplace_back(best, softmax(near)[best]);
    left[best] = kMinus;
  }
  std::sort(chosen.begin(), chosen.end());
  return {{chosen[0].first, chosen[1].first}, {chosen[0].second, chosen[1].second}};
}

struct Rule {
  const char* name;
  RouterSpec router;
  Expected (*expected)(const RouterSpec&, const Numbers&, const Numbers&);
  bool corrected = false;
};

RouterSpec spec(Scores scores, std::size_t chosen, bool normalised = false) {
  RouterSpec out;
  out.scores = scores;
  out.chosen = chosen;
  out.normalised = normalised;
  return out;
}

std::vector<Rule> rules() {
  RouterSpec ernie = spec(Scores::softmax, 6, true);
  ernie.least_sum = 1e-12F;
  RouterSpec one_group = spec(Scores::sigmoid, 4, true);
  one_group.sum_offset = 1e-20F;
  one_group.scaling = 2.5F;
  RouterSpec groups = one_group;
  groups.groups = 6;
  groups.chosen_groups = 2;
  RouterSpec unnormalised = groups;
  unnormalised.normalised = false;
  RouterSpec deepseek_v2 = spec(Scores::softmax, 6);
  deepseek_v2.groups = 8;
  deepseek_v2.chosen_groups = 3;
  deepseek_v2.best_of_group = true;
  deepseek_v2.scaling = 16;
  RouterSpec phimoe = spec(Scores::sparse_mixer, 2);
  phimoe.jitter = 0.01F;
  RouterSpec wide = phimoe;
  wide.jitter = 0.3F;
  return {{"mixtral", spec(Scores::softmax, 2, true), softmax_then_choose},
          {"qwen2_moe", spec(Scores::softmax, 4), softmax_then_choose},
          {"all of them", spec(Scores::softmax, kExperts, true), softmax_then_choose},
          {"gpt_oss", spec(Scores::softmax_of_chosen, 4), choose_then_softmax},
          {"ernie4_5_moe", ernie, corrected_softmax, true},
          {"minimax_m2", spec(Scores::sigmoid, 8, true), corrected_sigmoid, true},
          {"glm4_moe", one_group, corrected_sigmoid, true},
          {"deepseek_v3", groups, corrected_sigmoid, true},
          {"deepseek_v3 without a norm", unnormalised, corrected_sigmoid, true},
          {"deepseek_v2", deepseek_v2, grouped_softmax},
          {"phimoe", phimoe, sparse_mixer},
          {"phimoe, many near", wide, sparse_mixer}};
}

std::vector<float> random_products(std::mt19937& random, float scale) {
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> out(kExperts);
  for (float& value : out) value = normal(random);
  return out;
}

TEST(Routing, IsThatOfTransformers) {
  std::mt19937 random(17);
  for (const Rule& rule : rules()) {
    SCOPED_TRACE(rule.name);
    for (int row = 0; row < 200; ++row) {
      const auto products = random_products(random, row % 2 == 0 ? 1 : 5);
      const auto correction = rule.corrected ? random_products(random, 0.3F) : std::vector<float>();
      const Routed found = routed(rule.router, products, correction);
      const Expected expected =
          rule.expected(rule.router, Numbers(products.begin(), products.end()),
                        Numbers(correction.begin(), correction.end()));
      ASSERT_TRUE(std::equal(found.ids.begin(), found.ids.end(), expected.ids.begin())) << row;
      for (std::size_t i = 0; i < found.weights.size(); ++i)
        ASSERT_NEAR(found.weights[i], expected.weights[i], 3e-7 * std::abs(expected.weights[i]))
            << row;
    }
  }
}

TEST(Routing, TiesGoToTheLowerId) {
  const std::vector<float> same(kExperts, 0.5F);
  for (const Rule& rule : rules()) {
    SCOPED_TRACE(rule.name);
    const Routed found = routed(rule.router, same, rule.corrected ? same : std::vector<float>());
    for (std::size_t i = 0; i < found.ids.size(); ++i) EXPECT_EQ(found.ids[i], i);
  }
  std::vector<float> late = same;
  late[5] = late[9] = 1;
  EXPECT_EQ(routed(spec(Scores::softmax, 3), late).ids, (std::vector<std::uint32_t>{0, 5, 9}));
}

// What no float near overflow or zero may upset, in each mode of the floating-point unit.
TEST(Routing, HasTheSameBitsInAnyModeOfTheUnit) {
  std::mt19937 random(18);
  for (const Rule& rule : rules()) {
    SCOPED_TRACE(rule.name);
    for (const float scale : {1e-44F, 1e-39F, 1e-20F, 1.0F, 40.0F, 1e30F}) {
      const auto products = random_products(random, scale);
      const auto correction =
          rule.corrected ? random_products(random, std::min(scale, 1.0F)) : std::vector<float>();
      const Routed plain = routed(rule.router, products, correction);
      const backend::FloatMode mode;
      const Routed flushed = routed(rule.router, products, correction);
      EXPECT_EQ(plain.ids, flushed.ids);
      EXPECT_EQ(plain.weights, flushed.weights);
    }
  }
}

TEST(Routing, ProductsThatAreNotFiniteWeighNan) {
  for (const Rule& rule : rules()) {
    SCOPED_TRACE(rule.name);
    for (const float wrong :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
          -std::numeric_limits<float>::infinity()}) {
      std::vector<float> products(kExperts, 1.0F);
      products[7] = wrong;
      const std::vector<float> correction(rule.corrected ? kExperts : 0, 0.1F);
      const Routed found = routed(rule.router, products, correction);
      for (std::size_t i = 0; i < found.ids.size(); ++i) {
        EXPECT_EQ(found.ids[i], i);
        EXPECT_TRUE(std::isnan(found.weights[i]));
      }
    }
  }
}

TEST(Routing, CorrectionsOfAnyValueGiveIdsInRange) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float kWrong[] = {std::numeric_limits<float>::quiet_NaN(), kInfinity, -kInfinity};
  for (const Rule& rule : rules()) {
    if (!rule.corrected) continue;
    SCOPED_TRACE(rule.name);
    std::vector<float> correction;
    for (std::size_t i = 0; i < kExperts; ++i) correction.push_back(kWrong[i % 3]);
    const Routed found = routed(rule.router, std::vector<float>(kExperts, 1.0F), correction);
    EXPECT_LT(found.ids.back(), kExperts);
    EXPECT_EQ(std::adjacent_find(found.ids.begin(), found.ids.end(), std::greater_equal<>()),
              found.ids.end());
    for (const float weight : found.weights) EXPECT_TRUE(std::isfinite(weight));
  }
}

}  // namespace
}  // namespace ollm::models
