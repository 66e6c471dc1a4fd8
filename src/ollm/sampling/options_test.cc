// What Options refuse, with which words; by each limit.
// Leaves to others: what the options do.
#include "ollm/sampling/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string>

namespace ollm::sampling {
namespace {

using ::testing::HasSubstr;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::size_t kVocab = 100;

using Change = std::function<void(Options&)>;

Result<void> checked(const Change& change) {
  Options options;
  change(options);
  return check(options, kVocab);
}

// The message must hold the field, the value and the limit.
void expect_refused(const Change& change, const std::string& field, const std::string& value,
                    const std::string& limit) {
  const Result<void> result = checked(change);
  ASSERT_FALSE(result.ok()) << field << " " << value;
  EXPECT_EQ(result.error().kind, ErrorKind::invalid_argument);
  EXPECT_THAT(result.error().message, HasSubstr(field));
  EXPECT_THAT(result.error().message, HasSubstr(value));
  EXPECT_THAT(result.error().message, HasSubstr(limit));
}

TEST(Options, AreGreedyByDefaultAndPass) {
  EXPECT_TRUE(Options{}.greedy());
  EXPECT_TRUE(check(Options{}, kVocab).ok());
}

TEST(Options, PassAtTheirLimits) {
  for (const double x : {0.0, 1e-100, 1.0, 1e100}) {
    EXPECT_TRUE(checked([&](auto& o) { o.temperature = x; }).ok()) << x;
  }
  for (const double x : {1e-100, 1.0}) {
    EXPECT_TRUE(checked([&](auto& o) { o.top_p = x; }).ok()) << x;
    EXPECT_TRUE(checked([&](auto& o) { o.min_p = x; }).ok()) << x;
    EXPECT_TRUE(checked([&](auto& o) { o.typical_p = x; }).ok()) << x;
  }
  EXPECT_TRUE(checked([&](auto& o) { o.min_p = 0; }).ok());
  for (const double x : {1e-100, 1e100}) {
    EXPECT_TRUE(checked([&](auto& o) { o.repetition_penalty = x; }).ok()) << x;
  }
  for (const double x : {-2.0, 2.0}) {
    EXPECT_TRUE(checked([&](auto& o) { o.presence_penalty = x; }).ok()) << x;
    EXPECT_TRUE(checked([&](auto& o) { o.frequency_penalty = x; }).ok()) << x;
  }
  EXPECT_TRUE(checked([&](auto& o) { o.top_k = std::numeric_limits<std::size_t>::max(); }).ok());
  EXPECT_TRUE(checked([&](auto& o) {
                o.logit_bias = {{0, -std::numeric_limits<float>::infinity()}, {99, 1e38F}};
              }).ok());
}

TEST(Options, RefuseWhatIsNotANumberOrOutOfRangeByFieldValueAndLimit) {
  for (const auto& [value, text] : {std::pair{kNaN, "nan"}, {kInfinity, "inf"}, {-1.0, "-1"}}) {
    const double x = value;
    expect_refused([&](auto& o) { o.temperature = x; }, "temperature", text, "1e-100 to 1e100");
    expect_refused([&](auto& o) { o.top_p = x; }, "top_p", text, "1e-100 to 1");
    expect_refused([&](auto& o) { o.min_p = x; }, "min_p", text, "1e-100 to 1");
    expect_refused([&](auto& o) { o.typical_p = x; }, "typical_p", text, "1e-100 to 1");
    expect_refused([&](auto& o) { o.repetition_penalty = x; }, "repetition_penalty", text,
                   "1e-100 to 1e100");
  }
  expect_refused([](auto& o) { o.temperature = 1e-101; }, "temperature", "1e-101", "0 (greedy)");
  expect_refused([](auto& o) { o.temperature = 1e101; }, "temperature", "1e+101", "1e100");
  for (const auto& [value, text] : {std::pair{0.0, "0"}, {1.5, "1.5"}}) {
    const double x = value;
    expect_refused([&](auto& o) { o.top_p = x; }, "top_p", text, "1e-100 to 1");
    expect_refused([&](auto& o) { o.typical_p = x; }, "typical_p", text, "1e-100 to 1");
  }
  expect_refused([](auto& o) { o.min_p = 1.5; }, "min_p", "1.5", "to 1");
  expect_refused([](auto& o) { o.repetition_penalty = 0; }, "repetition_penalty", "0", "1e-100");
  for (const auto& [value, text] : {std::pair{kNaN, "nan"}, {2.1, "2.1"}, {-2.1, "-2.1"}}) {
    const double x = value;
    expect_refused([&](auto& o) { o.presence_penalty = x; }, "presence_penalty", text, "-2 to 2");
    expect_refused([&](auto& o) { o.frequency_penalty = x; }, "frequency_penalty", text, "-2 to 2");
  }
}

TEST(Options, RefuseATopKOfZero) {
  expect_refused([](auto& o) { o.top_k = 0; }, "top_k", "0", "1 or above");
}

TEST(Options, RefuseBiasesOfIdsOutsideTheVocabulary) {
  expect_refused([](auto& o) { o.logit_bias = {{3, 1}, {100, 1}}; }, "logit_bias", "100",
                 "0 to 99");
  expect_refused([](auto& o) { o.logit_bias = {{-1, 1}}; }, "logit_bias", "-1", "0 to 99");
}

TEST(Options, RefuseBiasesThatAreNotNumbersOrPlusInfinity) {
  expect_refused([](auto& o) { o.logit_bias = {{7, std::numeric_limits<float>::quiet_NaN()}}; },
                 "logit_bias of token 7", "nan", "finite");
  expect_refused([](auto& o) { o.logit_bias = {{7, std::numeric_limits<float>::infinity()}}; },
                 "logit_bias of token 7", "inf", "finite");
}

TEST(Options, RefuseAVocabularyThatIdsCannotCount) {
  EXPECT_EQ(check({}, 0).error().kind, ErrorKind::invalid_argument);
  EXPECT_TRUE(check({}, 2147483647).ok());
  EXPECT_THAT(check({}, 2147483648).error().message, HasSubstr("vocab_size is 2147483648"));
}

}  // namespace
}  // namespace ollm::sampling
