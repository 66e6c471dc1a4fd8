#include "ollm/weights/expert_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <numeric>
#include <random>
#include <string>
#include <vector>

namespace ollm::weights {
namespace {

// Experts of some layers, wanted by Zipf's law with exponent 1, each layer in an order of its own.
class Skewed {
 public:
  Skewed(std::size_t layers, std::size_t experts, std::size_t chosen, unsigned seed)
      : experts_(experts), chosen_(chosen), random_(seed) {
    std::vector<double> weights;
    for (std::size_t i = 0; i < experts; ++i) weights.push_back(1.0 / static_cast<double>(i + 1));
    distribution_ = std::discrete_distribution<int>(weights.begin(), weights.end());
    order_.resize(layers);
    for (std::vector<std::uint32_t>& order : order_) {
      order.resize(experts);
      std::iota(order.begin(), order.end(), 0u);
      std::shuffle(order.begin(), order.end(), random_);
    }
  }

  std::size_t layers() const { return order_.size(); }
  std::size_t experts() const { return experts_ * layers(); }

  // Those that one token wants in a layer, counted over all layers.
  const std::vector<std::uint32_t>& choose(std::size_t layer) {
    wanted_.clear();
    while (wanted_.size() < chosen_) {
      const auto expert = static_cast<std::uint32_t>(
          layer * experts_ + order_[layer][static_cast<std::size_t>(distribution_(random_))]);
      if (std::find(wanted_.begin(), wanted_.end(), expert) == wanted_.end())
        wanted_.push_back(expert);
    }
    std::sort(wanted_.begin(), wanted_.end());
    return wanted_;
  }

 private:
  std::size_t experts_, chosen_;
  std::mt19937 random_;
  std::discrete_distribution<int> distribution_;
  std::vector<std::vector<std::uint32_t>> order_;
  std::vector<std::uint32_t> wanted_;
};

// One token: what it wants of every layer is held, used, released, and offered where it was not
// kept.
std::size_t hits_of_a_token(ExpertCache& cache, Skewed& skewed, std::vector<double>& uses) {
  std::size_t hits = 0;
  cache.begin_sweep();
  for (std::size_t layer = 0; layer < skewed.layers(); ++layer) {
    for (const std::uint32_t expert : skewed.choose(layer)) {
      cache.want(expert);
      uses[expert] += 1;
      if (cache.keeps(expert)) {
        ++hits;
        cache.hold(expert);
        cache.release(expert);
      } else {
        cache.offer(expert);
      }
    }
  }
  return hits;
}

struct Shares {
  double reached = 0;  // hits of all uses
  double of_best = 0;  // hits of those of the best choice that never changes
};
Shares shares_of(std::size_t tokens, std::size_t kept) {
  Skewed skewed(8, 32, 4, 7);
  ExpertCache cache(skewed.experts(), kept);
  std::vector<double> uses(skewed.experts(), 0);
  for (int token = 0; token < 1000; ++token) hits_of_a_token(cache, skewed, uses);
  std::fill(uses.begin(), uses.end(), 0);
  std::size_t hits = 0;
  for (std::size_t token = 0; token < tokens; ++token) hits += hits_of_a_token(cache, skewed, uses);
  const double all = std::accumulate(uses.begin(), uses.end(), 0.0);
  std::sort(uses.rbegin(), uses.rend());
  const double best = std::accumulate(uses.begin(), uses.begin() + static_cast<long>(kept), 0.0);
  return {static_cast<double>(hits) / all, static_cast<double>(hits) / best};
}

TEST(ExpertCache, HitsNearlyAsOftenAsTheBestChoiceThatNeverChanges) {
  for (const std::size_t kept : {16u, 64u, 128u}) {
    const Shares shares = shares_of(10'000, kept);
    EXPECT_GE(shares.of_best, 0.95) << kept;
    EXPECT_LE(shares.of_best, 1.0 + 1e-9) << kept;
  }
}

TEST(SlowExpertCache, HitsAsOftenOverAHundredThousandTokens) {
  for (const std::size_t kept : {16u, 64u, 128u}) {
    const Shares shares = shares_of(100'000, kept);
    EXPECT_GE(shares.of_best, 0.95) << kept;
    std::cout << kept << " of 256 kept: " << shares.of_best << " of the best choice, "
              << shares.reached << " of all uses\n";
  }
}

TEST(ExpertCache, ASweepOverAllReplacesNobodyWhoWasWantedMore) {
  ExpertCache cache(100, 10);
  for (int sweep = 0; sweep < 3; ++sweep) {
    cache.begin_sweep();
    for (std::uint32_t expert = 40; expert < 50; ++expert) {
      cache.want(expert);
      if (!cache.keeps(expert)) {
        EXPECT_TRUE(cache.offer(expert).kept);
      }
    }
  }
  cache.begin_sweep();
  for (std::uint32_t expert = 0; expert < 100; ++expert) {
    cache.want(expert);
    if (!cache.keeps(expert)) {
      EXPECT_FALSE(cache.offer(expert).kept);
    }
  }
  for (std::uint32_t expert = 40; expert < 50; ++expert) EXPECT_TRUE(cache.keeps(expert));
}

TEST(ExpertCache, WhoIsNotWantedAnyMoreGoesAfterAWhile) {
  ExpertCache cache(4, 1);
  for (int sweep = 0; sweep < 1000; ++sweep) {
    cache.begin_sweep();
    cache.want(0);
  }
  EXPECT_TRUE(cache.offer(0).kept);
  int sweeps = 0;
  for (; !cache.keeps(1); ++sweeps) {
    ASSERT_LT(sweeps, 1000);
    cache.begin_sweep();
    cache.want(1);
    cache.offer(1);
  }
  EXPECT_GT(sweeps, 500);
  EXPECT_FALSE(cache.keeps(0));
}

TEST(ExpertCache, NobodyTakesThePlaceOfOneInUse) {
  ExpertCache cache(4, 2);
  for (const std::uint32_t expert : {0u, 1u}) {
    cache.want(expert);
    EXPECT_TRUE(cache.offer(expert).kept);
    cache.hold(expert);
  }
  cache.want(2);
  cache.want(2);
  EXPECT_FALSE(cache.offer(2).kept);
  cache.release(1);
  const ExpertCache::Admission admission = cache.offer(2);
  EXPECT_TRUE(admission.kept);
  EXPECT_EQ(admission.instead_of, 1u);
}

// Against a plain list of who is kept, on random calls.
TEST(ExpertCache, KeepsWhomAPlainListKeeps) {
  constexpr std::size_t kExperts = 50, kKept = 7;
  std::mt19937 random(3);
  ExpertCache cache(kExperts, kKept);
  std::vector<std::uint32_t> kept;
  for (int i = 0; i < 20'000; ++i) {
    if (random() % 4 == 0) cache.begin_sweep();
    const auto expert = static_cast<std::uint32_t>(random() % kExperts);
    cache.want(expert);
    const bool is_kept = std::find(kept.begin(), kept.end(), expert) != kept.end();
    ASSERT_EQ(cache.keeps(expert), is_kept);
    if (is_kept) continue;
    const ExpertCache::Admission admission = cache.offer(expert);
    if (kept.size() < kKept) {
      ASSERT_TRUE(admission.kept && !admission.instead_of);
      kept.push_back(expert);
      continue;
    }
    const auto least =
        std::min_element(kept.begin(), kept.end(), [&](std::uint32_t a, std::uint32_t b) {
          if (cache.wanted(a) != cache.wanted(b)) return cache.wanted(a) < cache.wanted(b);
          return a > b;
        });
    ASSERT_EQ(admission.kept, cache.wanted(*least) < cache.wanted(expert));
    if (!admission.kept) continue;
    ASSERT_EQ(admission.instead_of, *least);
    *least = expert;
  }
}

TEST(ExpertCache, WhatIsRememberedCountsAndNothingThatIsNoNumber) {
  ExpertCache cache(4, 1);
  const float wanted[] = {1.5F, std::nanf(""), -1.0F, 7.0F};
  cache.remember(wanted);
  EXPECT_EQ(cache.wanted(0), 1.5);
  EXPECT_EQ(cache.wanted(1), 0);
  EXPECT_EQ(cache.wanted(2), 0);
  EXPECT_TRUE(cache.offer(0).kept);
  EXPECT_FALSE(cache.offer(1).kept);
  EXPECT_EQ(cache.offer(3).instead_of, 0u);
}

}  // namespace
}  // namespace ollm::weights
