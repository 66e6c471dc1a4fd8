// Logits and greedy tokens of Transformers, for every golden model whose blocks are built, from
// both forms of config.json, on every table of the machine.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "tests/goldens/golden_file.h"
#include "tests/loaded_model.h"
#include "tests/test_data.h"

namespace ollm::testing {
namespace {

// Float32 in another order of additions agrees within about 1e-5 of the largest logit (README of
// the goldens); ten times that leaves room for exp and the norms, and is far below what a wrong
// factor, a missed bias or a mask off by one would do (1e-2 and more).
constexpr float kRelative = 1e-4F;
// Rounding operands to bf16 moves logits of these models by about 0.1 (README of the goldens).
constexpr float kBf16 = 0.35F;

constexpr const char* kModels[] = {"llama",
                                   "llama-bf16",
                                   "llama-f16",
                                   "llama-bias-mha",
                                   "llama-shards",
                                   "llama-yarn",
                                   "llama-linear-rope",
                                   "llama3-rope",
                                   "qwen2",
                                   "qwen3",
                                   "qwen3-bf16",
                                   "phi3",
                                   "mistral",
                                   "smollm3",
                                   "olmo2",
                                   "granite",
                                   "starcoder2"};

struct Case {
  std::string model;
  std::string config;  // "" for config.json
  backend::Isa isa;
};

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const char* model : kModels)
    for (const char* config : {"", "config.v5.json"})
      for (const backend::Isa isa : backend::supported_isas())
        cases.push_back({model, config, isa});
  return cases;
}

std::string case_name(const ::testing::TestParamInfo<Case>& info) {
  std::string name = info.param.model + (info.param.config.empty() ? "_v4_" : "_v5_") +
                     std::string(to_string(info.param.isa));
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

float largest(const std::vector<float>& values) {
  float most = 0;
  for (const float value : values) most = std::max(most, std::abs(value));
  return most;
}

class GoldenModel : public ::testing::TestWithParam<Case> {
 protected:
  void load(backend::ComputeMode compute) {
    OLLM_NEED_TEST_DATA(data);
    const auto folder = data / "golden" / "models" / GetParam().model;
    LoadOptions options;
    options.isa = GetParam().isa;
    options.compute = compute;
    options.threads = 2;
    options.config_file = GetParam().config;
    auto loaded = LoadedModel::load(folder, options);
    ASSERT_TRUE(loaded.ok()) << loaded.error().message;
    model_ = std::move(loaded).value();
    auto golden = GoldenFile::open(folder / "golden.safetensors");
    ASSERT_TRUE(golden.ok()) << golden.error().message;
    golden_.emplace(std::move(golden).value());
  }

  std::unique_ptr<LoadedModel> model_;
  std::optional<GoldenFile> golden_;
};

TEST_P(GoldenModel, LogitsAndGreedyTokensInF32) {
  ASSERT_NO_FATAL_FAILURE(load(backend::ComputeMode::f32));
  if (!model_) return;  // skipped
  for (const std::string prompt : {"p0", "p1", "p2", "p3"}) {
    SCOPED_TRACE(prompt);
    const std::vector<std::int32_t> ids = golden_->ids(prompt + ".input_ids");
    const std::vector<float> expected = golden_->floats(prompt + ".logits");
    const auto logits = model_->logits(ids, 64);
    ASSERT_TRUE(logits.ok()) << logits.error().message;
    ASSERT_EQ(logits->size(), expected.size());
    const float tolerance = kRelative * largest(expected);
    float worst = 0;
    for (std::size_t i = 0; i < expected.size(); ++i)
      worst = std::max(worst, std::abs((*logits)[i] - expected[i]));
    EXPECT_LE(worst, tolerance);
    // Tokens are the same as long as no two logits stood closer than the tolerance.
    if (golden_->floats(prompt + ".greedy_margin")[0] > 2 * tolerance) {
      const std::vector<std::int32_t> greedy = golden_->ids(prompt + ".greedy");
      const auto tokens = model_->greedy(ids, greedy.size());
      ASSERT_TRUE(tokens.ok()) << tokens.error().message;
      EXPECT_EQ(*tokens, greedy);
    }
  }
}

TEST_P(GoldenModel, TeacherForcedTokensInBf16) {
  if (!GetParam().model.ends_with("-bf16")) GTEST_SKIP() << "its weights are not BF16";
  ASSERT_NO_FATAL_FAILURE(load(backend::ComputeMode::bf16));
  if (!model_) return;  // skipped
  std::size_t compared = 0;
  for (const std::string prompt : {"p0", "p1", "p2", "p3"}) {
    SCOPED_TRACE(prompt);
    const std::vector<std::int32_t> ids = golden_->ids(prompt + ".input_ids");
    const std::vector<float> expected = golden_->floats(prompt + ".logits");
    const auto logits = model_->logits(ids, 64);
    ASSERT_TRUE(logits.ok()) << logits.error().message;
    const std::size_t vocab = model_->vocab_size();
    for (std::size_t token = 0; token < ids.size(); ++token) {
      const std::span<const float> truth(expected.data() + token * vocab, vocab);
      const std::span<const float> found(logits->data() + token * vocab, vocab);
      for (std::size_t i = 0; i < vocab; ++i) ASSERT_NEAR(found[i], truth[i], kBf16);
      std::vector<float> sorted(truth.begin(), truth.end());
      std::nth_element(sorted.begin(), sorted.begin() + 1, sorted.end(), std::greater<>());
      if (*std::max_element(truth.begin(), truth.end()) - sorted[1] > 2 * kBf16) {
        EXPECT_EQ(argmax(found), argmax(truth));
        ++compared;
      }
    }
  }
  EXPECT_GT(compared, 0u);
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenModel, ::testing::ValuesIn(all_cases()), case_name);

}  // namespace
}  // namespace ollm::testing
