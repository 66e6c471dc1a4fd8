// The textbook distribution that sampling is compared with, and the comparison on random logits.
// Leaves to others: frequencies of draws (sampling_distribution_test.cc), Transformers' results.
#include "ollm/sampling/textbook.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <set>
#include <utility>

#include "ollm/sampling/sampler.h"

namespace ollm::sampling::testing {
namespace {

constexpr double kForbidden = -std::numeric_limits<double>::infinity();

std::vector<double> softmax(const std::vector<double>& scores) {
  const double largest = *std::max_element(scores.begin(), scores.end());
  std::vector<double> p(scores.size());
  for (std::size_t i = 0; i < p.size(); ++i) p[i] = std::exp(scores[i] - largest);
  const double total = std::accumulate(p.begin(), p.end(), 0.0);
  for (double& x : p) x /= total;
  return p;
}

/// Ids by rising key, equal ones by rising id.
template <typename Key>
std::vector<std::size_t> ids_by(std::size_t size, Key key) {
  std::vector<std::size_t> ids(size);
  std::iota(ids.begin(), ids.end(), std::size_t{0});
  std::sort(ids.begin(), ids.end(), [&](std::size_t a, std::size_t b) {
    return std::pair{key(a), a} < std::pair{key(b), b};
  });
  return ids;
}

void keep_top_k(std::vector<double>& scores, std::size_t k) {
  if (k >= scores.size()) return;
  const auto ids = ids_by(scores.size(), [&](std::size_t i) { return -scores[i]; });
  const double last = scores[ids[k - 1]];
  for (double& x : scores) x = x < last ? kForbidden : x;
}

void keep_top_p(std::vector<double>& scores, double top_p) {
  const std::vector<double> p = softmax(scores);
  double before = 0;
  for (const std::size_t i : ids_by(p.size(), [&](std::size_t j) { return -scores[j]; })) {
    if (before >= top_p) scores[i] = kForbidden;
    before += p[i];
  }
}

void keep_min_p(std::vector<double>& scores, double min_p) {
  const std::vector<double> p = softmax(scores);
  const double least = min_p * *std::max_element(p.begin(), p.end());
  for (std::size_t i = 0; i < p.size(); ++i) scores[i] = p[i] < least ? kForbidden : scores[i];
}

void keep_typical_p(std::vector<double>& scores, double mass) {
  const std::vector<double> p = softmax(scores);
  double entropy = 0;
  for (const double x : p) entropy -= x > 0 ? x * std::log(x) : 0;
  std::vector<double> surprise(p.size());
  for (std::size_t i = 0; i < p.size(); ++i) surprise[i] = std::abs(-std::log(p[i]) - entropy);
  double sum = 0;
  double last = 0;
  for (const std::size_t i : ids_by(p.size(), [&](std::size_t j) { return surprise[j]; })) {
    sum += p[i];
    last = surprise[i];
    if (sum >= mass) break;
  }
  for (std::size_t i = 0; i < p.size(); ++i) {
    // Equal logits have equal surprises here, as they come from equal operations.
    if (surprise[i] > last) scores[i] = kForbidden;
  }
}

}  // namespace

std::vector<double> textbook_distribution(const Options& options, std::span<const float> logits,
                                          std::span<const TokenId> prompt,
                                          std::span<const TokenId> new_tokens) {
  std::vector<double> scores(logits.begin(), logits.end());
  const auto at = [&](TokenId id) -> double& { return scores[static_cast<std::size_t>(id)]; };

  for (const auto& [id, bias] : options.logit_bias) at(id) += bias;
  std::set<TokenId> seen(prompt.begin(), prompt.end());
  seen.insert(new_tokens.begin(), new_tokens.end());
  for (const TokenId id : seen) {
    at(id) = at(id) < 0 ? at(id) * options.repetition_penalty : at(id) / options.repetition_penalty;
  }
  for (const TokenId id : new_tokens) at(id) -= options.frequency_penalty;
  for (const TokenId id : std::set<TokenId>(new_tokens.begin(), new_tokens.end())) {
    at(id) -= options.presence_penalty;
  }
  for (double& x : scores) x /= options.temperature;

  if (options.top_k) keep_top_k(scores, *options.top_k);
  if (options.top_p && *options.top_p < 1) keep_top_p(scores, *options.top_p);
  if (options.min_p) keep_min_p(scores, *options.min_p);
  if (options.typical_p && *options.typical_p < 1) keep_typical_p(scores, *options.typical_p);
  return softmax(scores);
}

namespace {

struct Drawn {
  std::mt19937_64 random;
  double uniform() { return static_cast<double>(random() >> 11) * 0x1p-53; }
  bool coin() { return (random() >> 63) != 0; }
  TokenId token(std::size_t vocab) { return static_cast<TokenId>(random() % vocab); }

  // Sums of four uniforms: near enough to a normal, and the same with every standard library.
  std::vector<float> logits(std::size_t vocab, double scale) {
    std::vector<float> row(vocab);
    for (float& x : row) {
      x = static_cast<float>(scale * (uniform() + uniform() + uniform() + uniform() - 2));
    }
    return row;
  }

  Options options(std::size_t vocab) {
    Options options;
    options.temperature = 0.1 + 3 * uniform();
    if (coin()) options.top_k = 1 + random() % (2 * vocab);
    if (coin()) options.top_p = 0.01 + 0.99 * uniform();
    if (coin()) options.min_p = 0.5 * uniform() * uniform();
    if (coin()) options.typical_p = 0.01 + 0.99 * uniform();
    if (coin()) options.repetition_penalty = 0.5 + uniform();
    if (coin()) options.presence_penalty = 4 * uniform() - 2;
    if (coin()) options.frequency_penalty = 2 * uniform() - 1;
    if (coin()) {
      for (int i = 0; i < 5; ++i) {
        options.logit_bias.emplace_back(token(vocab), static_cast<float>(10 * uniform() - 5));
      }
    }
    return options;
  }
};

void expect_textbook(Drawn& drawn, std::size_t vocab, std::span<const float> logits) {
  const Options options = drawn.options(vocab);
  ASSERT_TRUE(check(options, vocab).ok());
  Sampler sampler(options, vocab);
  std::vector<TokenId> prompt(20);
  std::vector<TokenId> new_tokens(20);
  // A small range, so that ids occur several times and in both.
  for (TokenId& id : prompt) sampler.observe(id = drawn.token(std::min<std::size_t>(vocab, 30)));
  for (TokenId& id : new_tokens) sampler.accept(id = drawn.token(std::min<std::size_t>(vocab, 15)));

  const std::vector<double> expected = textbook_distribution(options, logits, prompt, new_tokens);
  const auto found = sampler.distribution(logits, 0);
  ASSERT_TRUE(found.ok()) << found.error().message;
  std::vector<double> probabilities(vocab, 0.0);
  for (const TokenProbability& token : *found) {
    probabilities[static_cast<std::size_t>(token.id)] = token.probability;
  }
  for (std::size_t i = 0; i < vocab; ++i) {
    ASSERT_NEAR(probabilities[i], expected[i], 1e-12 + 1e-11 * expected[i]) << "token " << i;
  }
}

TEST(SamplingTextbook, AgreesOnRandomLogitsAndOptions) {
  Drawn drawn{std::mt19937_64(11)};
  for (int round = 0; round < 400; ++round) {
    SCOPED_TRACE(fmt::format("round {}", round));
    const std::size_t vocab = 1 + drawn.random() % 700;
    ASSERT_NO_FATAL_FAILURE(
        expect_textbook(drawn, vocab, drawn.logits(vocab, 0.01 + 30 * drawn.uniform())));
  }
}

TEST(SamplingTextbook, AgreesWhereManyLogitsAreEqual) {
  Drawn drawn{std::mt19937_64(12)};
  for (int round = 0; round < 200; ++round) {
    SCOPED_TRACE(fmt::format("round {}", round));
    const std::size_t vocab = 1 + drawn.random() % 700;
    std::vector<float> logits = drawn.logits(vocab, 4);
    for (float& x : logits) x = std::round(x * 2) / 2;
    ASSERT_NO_FATAL_FAILURE(expect_textbook(drawn, vocab, logits));
  }
}

TEST(SamplingTextbook, AgreesOnAVocabularyOfAHundredThousand) {
  Drawn drawn{std::mt19937_64(13)};
  for (int round = 0; round < 6; ++round) {
    SCOPED_TRACE(fmt::format("round {}", round));
    ASSERT_NO_FATAL_FAILURE(expect_textbook(drawn, 100003, drawn.logits(100003, 20)));
  }
}

}  // namespace
}  // namespace ollm::sampling::testing
