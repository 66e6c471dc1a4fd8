// Frequencies of draws against the textbook distribution, by a chi-square for each option.
// Leaves to others: exact probabilities (sampling_textbook_test.cc, sampling_transformers_test.cc).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "ollm/sampling/sampler.h"
#include "ollm/sampling/textbook.h"

namespace ollm::sampling {
namespace {

// Each test draws at this many positions with a fixed seed. As the noise is a function of seed and
// position, a test passes always or never: it cannot flake.
constexpr std::size_t kDraws = 200000;

// The significance of each test is 0.001: of right samplers with other seeds one in a thousand
// would be refused. 3.0902 is that quantile of the normal distribution.
constexpr double kNormalQuantile = 3.0902;

// Source: Wilson and Hilferty, "The Distribution of Chi-Square", PNAS 1931.
double chi_square_limit(double degrees) {
  const double spread = 2 / (9 * degrees);
  return degrees * std::pow(1 - spread + kNormalQuantile * std::sqrt(spread), 3);
}

const std::vector<float>& logits() {
  static const std::vector<float> row = [] {
    std::vector<float> made;
    // From about 3 to -4, in no order of ids; probabilities from 0.1 to 1e-4.
    for (int i = 0; i < 30; ++i) made.push_back(static_cast<float>((i * 11) % 30) * -0.23F + 3);
    return made;
  }();
  return row;
}

const std::vector<TokenId> kPrompt{1, 4, 4, 20};
const std::vector<TokenId> kNew{4, 7, 7, 7, 11};

struct Fit {
  double chi_square = 0;
  double degrees = 0;
  std::size_t forbidden = 0;  // draws of what has the probability 0
  bool good() const { return forbidden == 0 && chi_square < chi_square_limit(degrees); }
};

Fit fit_of(const Options& drawn, const Options& expected) {
  Sampler sampler(drawn, logits().size());
  for (const TokenId id : kPrompt) sampler.observe(id);
  for (const TokenId id : kNew) sampler.accept(id);
  std::vector<std::size_t> counts(logits().size());
  for (std::size_t position = 0; position < kDraws; ++position) {
    // choose, not sample: each draw is from the same distribution.
    const Result<TokenId> id = sampler.choose(logits(), position);
    if (!id.ok()) {
      ADD_FAILURE() << id.error().message;
      return {};
    }
    ++counts[static_cast<std::size_t>(*id)];
  }

  const std::vector<double> probabilities =
      sampling::testing::textbook_distribution(expected, logits(), kPrompt, kNew);
  Fit fit;
  double rest_expected = 0;  // cells of fewer than 5 expected draws count as one
  double rest_found = 0;
  const auto cell = [&fit](double found, double mean) {
    fit.chi_square += (found - mean) * (found - mean) / mean;
    fit.degrees += 1;
  };
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const auto found = static_cast<double>(counts[i]);
    const double mean = probabilities[i] * kDraws;
    if (mean == 0) {
      fit.forbidden += counts[i];
    } else if (mean < 5) {
      rest_expected += mean;
      rest_found += found;
    } else {
      cell(found, mean);
    }
  }
  if (rest_expected > 0) cell(rest_found, rest_expected);
  fit.degrees -= 1;
  return fit;
}

Options warm(double temperature = 1) {
  Options options;
  options.temperature = temperature;
  options.seed = 1;
  return options;
}

void expect_fit(const Options& options, double degrees_min) {
  const Fit fit = fit_of(options, options);
  EXPECT_EQ(fit.forbidden, 0U);
  EXPECT_GE(fit.degrees, degrees_min) << "too few tokens are left for a test";
  EXPECT_LT(fit.chi_square, chi_square_limit(fit.degrees)) << "degrees " << fit.degrees;
}

TEST(SamplingDistribution, FitsTheTemperature) {
  for (const double temperature : {0.5, 1.0, 1.7}) {
    SCOPED_TRACE(temperature);
    expect_fit(warm(temperature), 20);
  }
}

TEST(SamplingDistribution, FitsTopK) {
  Options options = warm();
  options.top_k = 8;
  expect_fit(options, 7);
}

TEST(SamplingDistribution, FitsTopP) {
  Options options = warm();
  options.top_p = 0.9;
  expect_fit(options, 5);
}

TEST(SamplingDistribution, FitsMinP) {
  Options options = warm();
  options.min_p = 0.1;
  expect_fit(options, 5);
}

TEST(SamplingDistribution, FitsTypicalP) {
  Options options = warm();
  options.typical_p = 0.7;
  expect_fit(options, 5);
}

TEST(SamplingDistribution, FitsTheRepetitionPenalty) {
  Options options = warm();
  options.repetition_penalty = 1.4;
  expect_fit(options, 20);
}

TEST(SamplingDistribution, FitsPresenceAndFrequencyPenalty) {
  Options options = warm();
  options.presence_penalty = 0.7;
  expect_fit(options, 20);
  options.frequency_penalty = -0.4;
  expect_fit(options, 20);
}

TEST(SamplingDistribution, FitsTheBias) {
  Options options = warm();
  options.logit_bias = {{2, 3.0F}, {9, -1.5F}};
  expect_fit(options, 20);
}

TEST(SamplingDistribution, FitsAllTogether) {
  Options options = warm(1.3);
  options.top_k = 20;
  options.top_p = 0.95;
  options.min_p = 0.03;
  options.typical_p = 0.9;
  options.repetition_penalty = 1.2;
  options.presence_penalty = 0.2;
  options.frequency_penalty = 0.1;
  options.logit_bias = {{3, 2.0F}};
  expect_fit(options, 5);
}

// Draws over seeds at one position are as good as over positions: requests are independent.
TEST(SamplingDistribution, FitsOverSeedsAtOnePosition) {
  Options options = warm();
  options.top_k = 2;
  const std::vector<double> probabilities =
      sampling::testing::textbook_distribution(options, logits(), {}, {});
  double expected = 0;
  for (const double p : probabilities) expected = std::max(expected, p);
  constexpr int kSeeds = 20000;
  int first = 0;
  for (int seed = 0; seed < kSeeds; ++seed) {
    options.seed = static_cast<std::uint64_t>(seed);
    Sampler sampler(options, logits().size());
    first += *sampler.choose(logits(), 12) == 0 ? 1 : 0;
  }
  const double deviation = std::sqrt(kSeeds * expected * (1 - expected));
  EXPECT_NEAR(first, kSeeds * expected, 3.29 * deviation);  // 0.001, two-sided
}

// The tests above could not fail if these did not hold.
TEST(SamplingDistribution, AWrongDistributionIsSeen) {
  Options wrong = warm(1.03);
  EXPECT_FALSE(fit_of(wrong, warm()).good()) << "temperature off by 3 %";
  wrong = warm();
  wrong.logit_bias = {{0, 0.05F}};
  EXPECT_FALSE(fit_of(wrong, warm()).good()) << "the largest logit off by 0.05";
  Options narrow = warm();
  narrow.top_k = 7;
  Options wide = warm();
  wide.top_k = 8;
  EXPECT_FALSE(fit_of(wide, narrow).good()) << "a token that was to be left out";
  EXPECT_FALSE(fit_of(narrow, wide).good()) << "a token that is missing";
}

}  // namespace
}  // namespace ollm::sampling
