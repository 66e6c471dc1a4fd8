// Lines with delta nets are the same wherever they are cut: gone back by up to 64 tokens, forked,
// guessed wrongly and rewound, failed and tried again.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/loaded_model.h"
#include "tests/test_data.h"

namespace ollm::testing {
namespace {

using Ids = std::vector<std::int32_t>;

constexpr std::size_t kTokens = 300;

class DeltaNetLaw : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    LoadOptions options;
    options.isa = backend::best_isa(backend::ComputeMode::f32);
    options.threads = 2;
    options.max_rows = options.max_logit_rows = kTokens;
    options.kv_lines = 2;
    auto model = LoadedModel::load(*golden_model(GetParam()), options);
    ASSERT_TRUE(model.ok()) << model.error().message;
    model_ = std::move(model).value();
    ids_ = random_ids(kTokens, model_->vocab_size(), 7);
    const auto whole = model_->logits(ids_, kTokens);
    ASSERT_TRUE(whole.ok()) << whole.error().message;
    whole_ = *whole;
  }

  // A sweep of a line over `ids`; their logits, or nothing where `fails` stops it half way.
  std::vector<float> sweep(kv::Line& line, std::span<const std::int32_t> ids, bool fails = false) {
    std::vector<float> out;
    const engine::Work work{&line, ids, 0};
    const CancellationToken never;
    int layers = 0;
    if (fails) {
      EXPECT_FALSE(
          model_->engine().compute({&work, 1}, [&](std::size_t) { return ++layers < 3; }).ok());
      return out;
    }
    const Result<void> swept = engine::sweep(
        model_->engine(), {&work, 1},
        [&](std::size_t, std::size_t, std::span<float> row) {
          out.insert(out.end(), row.begin(), row.end());
        },
        never);
    EXPECT_TRUE(swept.ok()) << swept.error().message;
    return out;
  }

  // Goes on with a line to `end`, so many rows a sweep; the logits are those of the whole.
  void go_on(kv::Line& line, std::size_t end, std::size_t rows) {
    const std::size_t vocab = model_->vocab_size();
    while (line.tokens() < end) {
      const std::size_t first = line.tokens();
      const std::size_t count = std::min(rows, end - first);
      const std::vector<float> logits = sweep(line, std::span(ids_).subspan(first, count));
      ASSERT_EQ(logits.size(), count * vocab);
      ASSERT_EQ(
          std::memcmp(logits.data(), whole_.data() + first * vocab, logits.size() * sizeof(float)),
          0)
          << first << " and " << count << " rows";
    }
  }

  kv::Line line() {
    kv::Line made = model_->new_line();
    EXPECT_TRUE(made.reserve(kTokens).ok());
    return made;
  }

  std::unique_ptr<LoadedModel> model_;
  Ids ids_;
  std::vector<float> whole_;
};

TEST_P(DeltaNetLaw, GoneBackByUpTo64Tokens) {
  const Ids wrong = random_ids(kTokens, model_->vocab_size(), 8);
  for (const std::size_t tokens : {70u, 128u, 129u, 191u}) {
    for (std::size_t back = 1; back <= 64; ++back) {
      SCOPED_TRACE(std::to_string(tokens) + ", back " + std::to_string(back));
      kv::Line cut = line();
      ASSERT_NO_FATAL_FAILURE(go_on(cut, tokens - back, kTokens));
      // Tokens that do not hold: the line has other states for a while.
      (void)sweep(cut, std::span(wrong).first(back));
      ASSERT_EQ(cut.tokens(), tokens);
      const auto left = cut.rewind(tokens - back);
      ASSERT_TRUE(left.ok()) << left.error().message;
      ASSERT_EQ(*left, tokens - back);
      ASSERT_TRUE(cut.reserve(kTokens).ok());
      ASSERT_NO_FATAL_FAILURE(go_on(cut, tokens + 70, back % 3 == 0 ? 1 : 50));
    }
  }
}

TEST_P(DeltaNetLaw, SweepsThatFailedAreTriedAgain) {
  for (const std::size_t tokens : {0u, 5u, 64u, 100u}) {
    for (const std::size_t rows : {1u, 40u, 200u}) {
      SCOPED_TRACE(std::to_string(tokens) + " and " + std::to_string(rows));
      kv::Line cut = line();
      ASSERT_NO_FATAL_FAILURE(go_on(cut, tokens, 64));
      const Ids wrong = random_ids(rows, model_->vocab_size(), 9);
      (void)sweep(cut, wrong, true);
      ASSERT_EQ(cut.tokens(), tokens);
      ASSERT_NO_FATAL_FAILURE(go_on(cut, kTokens, rows));
    }
  }
}

TEST_P(DeltaNetLaw, ForksGoOnByThemselves) {
  const Ids others = random_ids(90, model_->vocab_size(), 10);
  for (const std::size_t tokens : {64u, 65u, 127u, 150u}) {
    SCOPED_TRACE(tokens);
    kv::Line first = line();
    ASSERT_NO_FATAL_FAILURE(go_on(first, tokens, 100));
    auto second = first.fork(tokens);
    ASSERT_TRUE(second.ok()) << second.error().message;
    ASSERT_TRUE(second->reserve(kTokens).ok());
    (void)sweep(first, others);
    ASSERT_NO_FATAL_FAILURE(go_on(*second, kTokens, 33));
  }
}

std::string name_of(const ::testing::TestParamInfo<const char*>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(Models, DeltaNetLaw,
                         ::testing::Values("qwen3-next-dense-layer", "qwen35-mtp"), name_of);

}  // namespace
}  // namespace ollm::testing
