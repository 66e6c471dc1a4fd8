// Logits and greedy tokens of Transformers, for our own fixtures and every golden model whose
// blocks are built, from both forms of config.json, on every table of the machine.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
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
// The share of rows of small mixtures in which rounding lets others be chosen, or that see one.
constexpr double kRoutedOtherwise = 0.15;
// The same where states hand it on to all rows behind (of Qwen3-Next's 193 rows 61 move by more).
constexpr double kRoutedOtherwiseInStates = 0.4;

// That goldens go on from each prompt.
constexpr std::size_t kGreedyTokens = 16;

// Of the golden data of others. Ours are all folders of tests/fixtures/models.
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
                                   "starcoder2",
                                   "gpt-oss",
                                   "gpt-oss-bf16",
                                   "gpt-oss-mxfp4",
                                   "mixtral",
                                   "qwen2-moe",
                                   "qwen3-moe",
                                   "granite-moe",
                                   "phimoe",
                                   "ernie4.5-moe",
                                   "glm4-moe",
                                   "minimax-m2",
                                   "qwen3-next",
                                   "qwen3-next-bf16",
                                   "qwen3.5",
                                   "qwen3.5-moe",
                                   "cohere",
                                   "cohere2",
                                   "exaone4",
                                   "gemma",
                                   "gemma2",
                                   "gemma3-text",
                                   "gemma3-text-bf16",
                                   "glm4",
                                   "ministral3",
                                   "olmo3",
                                   "seed-oss",
                                   "stablelm"};

constexpr const char* kBf16Models[] = {"llama-bf16",    "qwen3-bf16",      "gpt-oss-bf16",
                                       "gpt-oss-mxfp4", "qwen3-next-bf16", "gemma3-text-bf16"};

std::vector<std::string> own_models(std::string_view suffix = "") {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator("tests/fixtures/models")) {
    const std::string name = entry.path().filename().string();
    if (entry.is_directory() && name.ends_with(suffix)) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

struct Case {
  std::string model;
  std::string config;  // "" for config.json
  backend::Isa isa;
};

template <typename Names>
std::vector<Case> cases(const Names& models) {
  std::vector<Case> cases;
  for (const auto& model : models)
    for (const char* config : {"", "config.v5.json"})
      for (const backend::Isa isa : backend::supported_isas())
        cases.push_back({model, config, isa});
  return cases;
}

std::string case_name(const ::testing::TestParamInfo<Case>& info) {
  std::string name = info.param.model + (info.param.config.empty() ? "_v4_" : "_v5_") +
                     std::string(to_string(info.param.isa));
  std::replace_if(name.begin(), name.end(), [](char c) { return c == '-' || c == '.'; }, '_');
  return name;
}

// Whether its rotary is longrope, which has one set of frequencies a length.
bool turns_by_length(const std::string& model) {
  return model.find("longrope") != std::string::npos || model == "phimoe";
}

float largest(const std::vector<float>& values) {
  float most = 0;
  for (const float value : values) most = std::max(most, std::abs(value));
  return most;
}

float largest_difference(std::span<const float> a, std::span<const float> b) {
  float most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(a[i] - b[i]));
  return most;
}

class GoldenModel : public ::testing::TestWithParam<Case> {
 protected:
  void load(backend::ComputeMode compute, std::optional<std::size_t> layers = std::nullopt) {
    const auto folder = golden_model(GetParam().model);
    if (!folder) OLLM_WITHOUT_TEST_DATA("golden/models/" + GetParam().model);
    LoadOptions options;
    options.isa = GetParam().isa;
    options.compute = compute;
    options.threads = 2;
    options.config_file = GetParam().config;
    options.layers = layers;
    options_ = options;
    folder_ = *folder;
    ASSERT_NO_FATAL_FAILURE(load_model());
    auto golden = GoldenFile::open(*folder / "golden.safetensors");
    ASSERT_TRUE(golden.ok()) << golden.error().message;
    golden_.emplace(std::move(golden).value());
  }

  void load_model() {
    auto loaded = LoadedModel::load(folder_, options_);
    ASSERT_TRUE(loaded.ok()) << loaded.error().message;
    model_ = std::move(loaded).value();
  }

  // Logits of a prompt, beside those of Transformers that the golden names `expected`.
  void compute(const std::string& prompt, const std::string& expected) {
    ids_ = golden_->ids(prompt + ".input_ids");
    expected_ = golden_->floats(expected);
    if (turns_by_length(GetParam().model)) {
      options_.context_tokens = ids_.size() + kGreedyTokens;
      ASSERT_NO_FATAL_FAILURE(load_model());
    }
    auto logits = model_->logits(ids_, 64);
    ASSERT_TRUE(logits.ok()) << logits.error().message;
    found_ = std::move(logits).value();
    ASSERT_EQ(found_.size(), expected_.size());
    // No comparison below would notice a NaN.
    ASSERT_TRUE(
        std::all_of(found_.begin(), found_.end(), [](float x) { return std::isfinite(x); }));
  }

  LoadOptions options_;
  std::filesystem::path folder_;
  std::unique_ptr<LoadedModel> model_;
  std::optional<GoldenFile> golden_;
  std::vector<std::int32_t> ids_;
  std::vector<float> expected_;
  std::vector<float> found_;
};

double share_routed_otherwise(const models::Composition& composition) {
  if (composition.tape.experts.empty()) return 0;
  const bool states = std::any_of(
      composition.layers.begin(), composition.layers.end(),
      [](const models::LayerSpec& layer) { return models::delta_net_of(layer) != nullptr; });
  return states ? kRoutedOtherwiseInStates : kRoutedOtherwise;
}

class OwnModel : public GoldenModel {};
class Bf16Model : public GoldenModel {};

TEST_P(GoldenModel, LogitsAndGreedyTokensInF32) {
  ASSERT_NO_FATAL_FAILURE(load(backend::ComputeMode::f32));
  if (!model_) return;  // skipped
  for (const std::string prompt : {"p0", "p1", "p2", "p3"}) {
    SCOPED_TRACE(prompt);
    ASSERT_NO_FATAL_FAILURE(compute(prompt, prompt + ".logits"));
    const float tolerance = kRelative * largest(expected_);
    EXPECT_LE(largest_difference(found_, expected_), tolerance);
    // Tokens are the same as long as no two logits stood closer than the tolerance.
    if (golden_->floats(prompt + ".greedy_margin")[0] > 2 * tolerance) {
      const std::vector<std::int32_t> greedy = golden_->ids(prompt + ".greedy");
      const auto tokens = model_->greedy(ids_, greedy.size());
      ASSERT_TRUE(tokens.ok()) << tokens.error().message;
      EXPECT_EQ(*tokens, greedy);
    }
  }
}

// Rounded operands move rows by kBf16 at most; of a mixture some rows by more, whose router chose
// between two experts that stood close.
TEST_P(Bf16Model, TeacherForcedTokensInBf16) {
  ASSERT_NO_FATAL_FAILURE(load(backend::ComputeMode::bf16));
  if (!model_) return;  // skipped
  const double others = share_routed_otherwise(model_->composition());
  std::size_t rows = 0, moved = 0, compared = 0, differ = 0;
  for (const std::string prompt : {"p0", "p1", "p2", "p3"}) {
    SCOPED_TRACE(prompt);
    ASSERT_NO_FATAL_FAILURE(compute(prompt, prompt + ".logits"));
    const std::size_t vocab = model_->vocab_size();
    for (std::size_t token = 0; token < ids_.size(); ++token) {
      const std::span<const float> truth(expected_.data() + token * vocab, vocab);
      const std::span<const float> found(found_.data() + token * vocab, vocab);
      ++rows;
      if (largest_difference(found, truth) > kBf16) ++moved;
      std::vector<float> sorted(truth.begin(), truth.end());
      std::nth_element(sorted.begin(), sorted.begin() + 1, sorted.end(), std::greater<>());
      if (*std::max_element(truth.begin(), truth.end()) - sorted[1] <= 2 * kBf16) continue;
      ++compared;
      if (argmax(found) != argmax(truth)) ++differ;
    }
  }
  EXPECT_LE(static_cast<double>(moved), others * static_cast<double>(rows));
  EXPECT_LE(static_cast<double>(differ), others * static_cast<double>(compared));
  EXPECT_GT(compared, 0u);
}

TEST_P(OwnModel, LogitsOfTheFirstLayers) {
  std::size_t layers = 0;
  std::string expected = "p1.logits.0";
  do {
    SCOPED_TRACE(layers);
    ASSERT_NO_FATAL_FAILURE(load(backend::ComputeMode::f32, layers));
    ASSERT_NO_FATAL_FAILURE(compute("p1", expected));
    EXPECT_LE(largest_difference(found_, expected_), kRelative * largest(expected_));
    expected = "p1.logits." + std::to_string(++layers);
  } while (golden_->has(expected));
  EXPECT_GT(layers, 1u);
}

INSTANTIATE_TEST_SUITE_P(Others, GoldenModel, ::testing::ValuesIn(cases(kModels)), case_name);
INSTANTIATE_TEST_SUITE_P(Ours, GoldenModel, ::testing::ValuesIn(cases(own_models())), case_name);
INSTANTIATE_TEST_SUITE_P(Ours, OwnModel, ::testing::ValuesIn(cases(own_models())), case_name);
INSTANTIATE_TEST_SUITE_P(Others, Bf16Model, ::testing::ValuesIn(cases(kBf16Models)), case_name);
INSTANTIATE_TEST_SUITE_P(Ours, Bf16Model, ::testing::ValuesIn(cases(own_models("-bf16"))),
                         case_name);

}  // namespace
}  // namespace ollm::testing
