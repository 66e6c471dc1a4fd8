// Log probabilities beside the textbook: a softmax of the C library, and a list that is sorted.
#include "ollm/sampling/log_probs.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

namespace ollm::sampling {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

std::vector<double> textbook(const std::vector<float>& logits) {
  const long double largest = *std::max_element(logits.begin(), logits.end());
  long double sum = 0;
  for (const float x : logits) sum += std::exp(static_cast<long double>(x) - largest);
  std::vector<double> out;
  for (const float x : logits) out.push_back(static_cast<double>(x - largest - std::log(sum)));
  return out;
}

void expect_textbook(const std::vector<float>& logits, TokenId chosen, std::size_t top) {
  const std::vector<double> expected = textbook(logits);
  const auto near = [&](TokenId id, double found) {
    const double truth = expected[static_cast<std::size_t>(id)];
    return found == truth || std::abs(found - truth) <= 1e-13 + 1e-13 * std::abs(truth);
  };
  std::vector<TokenId> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](TokenId a, TokenId b) {
    return logits[static_cast<std::size_t>(a)] > logits[static_cast<std::size_t>(b)];
  });
  const TokenLogProbs found = log_probs(logits, chosen, top);
  EXPECT_TRUE(near(chosen, found.log_prob)) << found.log_prob;
  ASSERT_EQ(found.top.size(), std::min(top, logits.size()));
  for (std::size_t i = 0; i < found.top.size(); ++i) {
    ASSERT_EQ(found.top[i].id, order[i]) << "place " << i;
    ASSERT_TRUE(near(order[i], found.top[i].log_prob)) << "place " << i;
  }
}

TEST(LogProbs, AgreeWithTheTextbook) {
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    SCOPED_TRACE(fmt::format("round {}", round));
    std::vector<float> logits(1 + random() % 3000);
    const float scale = 0.01F + static_cast<float>(random() % 4000) / 100;
    for (float& x : logits) x = (static_cast<float>(random() % 20001) / 10000 - 1) * scale;
    // Many that are equal, and some that cannot come.
    if (round % 3 == 0)
      for (float& x : logits) x = std::round(x);
    if (round % 5 == 0)
      for (std::size_t i = 1; i < logits.size(); i += 7) logits[i] = kNever;
    const auto chosen = static_cast<TokenId>(random() % logits.size());
    ASSERT_NO_FATAL_FAILURE(expect_textbook(logits, chosen, random() % 22));
  }
}

TEST(LogProbs, OfEqualsTheLowestIdsComeFirst) {
  const std::vector<float> logits(100, 1.5F);
  const TokenLogProbs found = log_probs(logits, 99, 3);
  ASSERT_EQ(found.top.size(), 3u);
  for (TokenId id = 0; id < 3; ++id) EXPECT_EQ(found.top[static_cast<std::size_t>(id)].id, id);
  EXPECT_EQ(found.log_prob, found.top[0].log_prob);
}

TEST(LogProbs, WhatCannotComeIsMinusInfinity) {
  const std::vector<float> logits{kNever, 3.0F, kNever};
  const TokenLogProbs found = log_probs(logits, 0, 20);
  EXPECT_EQ(found.log_prob, -std::numeric_limits<double>::infinity());
  ASSERT_EQ(found.top.size(), 3u);
  EXPECT_EQ(found.top[0], (TokenLogProb{1, 0.0}));
  EXPECT_EQ(found.top[1].id, 0);
}

TEST(LogProbs, TheLogarithmIsThatOfTheTruth) {
  EXPECT_EQ(log_of_sum(1), 0);
  std::mt19937_64 random(4);
  for (int i = 0; i < 200000; ++i) {
    const double x = 1 + std::ldexp(static_cast<double>(random() >> 11), -53 + i % 60);
    const long double truth = std::log(static_cast<long double>(x));
    ASSERT_LE(std::abs(log_of_sum(x) - truth), 1e-17L + 4e-16L * truth) << x;
  }
}

}  // namespace
}  // namespace ollm::sampling
