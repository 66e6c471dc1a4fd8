// The order and the meaning of the steps, against what Transformers' own processors keep.
// Leaves to others: how the fixture was made (tests/fixtures/sampling/README.md).
#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "ollm/sampling/sampler.h"

namespace ollm::sampling {
namespace {

using Json = nlohmann::json;

// Tests run in the root of the project.
constexpr const char* kFixture = "tests/fixtures/sampling/transformers.json";

Options options_of(const Json& json) {
  Options options;
  for (const auto& [name, value] : json.items()) {
    if (name == "temperature") {
      options.temperature = value;
    } else if (name == "top_k") {
      options.top_k = value.get<std::size_t>();
    } else if (name == "top_p") {
      options.top_p = value.get<double>();
    } else if (name == "min_p") {
      options.min_p = value.get<double>();
    } else if (name == "typical_p") {
      options.typical_p = value.get<double>();
    } else if (name == "repetition_penalty") {
      options.repetition_penalty = value;
    } else if (name == "presence_penalty") {
      options.presence_penalty = value;
    } else if (name == "frequency_penalty") {
      options.frequency_penalty = value;
    } else if (name == "logit_bias") {
      for (const Json& pair : value) options.logit_bias.emplace_back(pair[0], pair[1]);
    } else {
      ADD_FAILURE() << "unknown option " << name;
    }
  }
  return options;
}

std::vector<float> logits_of(const Json& json) {
  std::vector<float> logits;
  for (const Json& x : json) {
    logits.push_back(x.is_null() ? -std::numeric_limits<float>::infinity() : x.get<float>());
  }
  return logits;
}

TEST(SamplingTransformers, KeepsTheSameTokensWithTheSameProbabilities) {
  std::ifstream file(kFixture);
  ASSERT_TRUE(file) << kFixture << " is not there: tests run in the root of the project";
  const Json fixture = Json::parse(file);
  ASSERT_GT(fixture["cases"].size(), 100U);

  for (const Json& test : fixture["cases"]) {
    SCOPED_TRACE(test["logits"].get<std::string>() + " " + test["options"].dump());
    const std::vector<float> logits = logits_of(fixture["logits"][test["logits"]]);
    const Options options = options_of(test["options"]);
    ASSERT_TRUE(check(options, logits.size()).ok());
    Sampler sampler(options, logits.size());
    for (const Json& id : fixture["prompt"]) sampler.observe(id);
    for (const Json& id : fixture["new"]) sampler.accept(id);

    const auto found = sampler.distribution(logits, 0);
    ASSERT_TRUE(found.ok()) << found.error().message;
    ASSERT_EQ(found->size(), test["ids"].size());
    for (std::size_t i = 0; i < found->size(); ++i) {
      EXPECT_EQ((*found)[i].id, test["ids"][i].get<TokenId>());
      // Transformers computes scores in float32: logits up to 32 are off by up to 2^-19 = 2e-6, and
      // so, relative, are the probabilities; the fixture has seven digits.
      const double expected = test["probabilities"][i];
      EXPECT_NEAR((*found)[i].probability, expected, 5e-6 * expected);
    }
  }
}

}  // namespace
}  // namespace ollm::sampling
