// Experts: whichever are in memory, whatever was guessed and whatever earlier runs wanted, logits
// are equal bit for bit.
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "tests/loaded_model.h"
#include "tests/test_data.h"

namespace ollm::testing {
namespace {

constexpr std::size_t kTokens = 60;

class ExpertsLaw : public ::testing::TestWithParam<const char*> {
 protected:
  Result<std::unique_ptr<LoadedModel>> load(std::size_t slots, std::size_t threads = 1) {
    LoadOptions options;
    options.threads = threads;
    options.isa = backend::supported_isas().back();
    options.weights.expert_slots = slots;
    options.weights.most_passing_slots = 0;  // the fewest that there can be
    options.weights.read_bytes = 4096;
    return LoadedModel::load(*golden_model(GetParam()), options);
  }

  static bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
  }
};

// What earlier runs seem to have wanted: nothing, or what this one does not.
std::vector<std::vector<float>> histories(const LoadedModel& model,
                                          const std::vector<float>& wanted) {
  std::vector<float> adverse;
  for (const float count : wanted) adverse.push_back(1000 / (1 + count));
  EXPECT_EQ(adverse.size(), model.tape().map().experts.count());
  return {{}, adverse};
}

TEST_P(ExpertsLaw, WhicheverAreKeptGuessedAndRemembered) {
  if (!golden_model(GetParam())) OLLM_WITHOUT_TEST_DATA(std::string("golden/models/") + GetParam());
  const auto whole = load(1'000'000);
  ASSERT_TRUE(whole.ok()) << whole.error().message;
  const weights::Experts& all = *(*whole)->tape().experts();
  ASSERT_TRUE(all.holds_all());
  std::mt19937 random(3);
  std::vector<std::int32_t> ids(kTokens);
  for (std::int32_t& id : ids) id = static_cast<std::int32_t>(random() % (*whole)->vocab_size());
  const auto expected = (*whole)->logits(ids, ids.size());
  ASSERT_TRUE(expected.ok()) << expected.error().message;

  const weights::ExpertMap& map = (*whole)->tape().map().experts;
  std::vector<float> wanted;
  for (std::uint32_t layer = 0; layer < map.layers.size(); ++layer)
    for (std::uint32_t id = 0; id < map.layers[layer].experts; ++id)
      wanted.push_back(static_cast<float>(all.wanted({layer}, id)));
  const std::size_t few = weights::least_expert_slots(map);
  // None are kept, one is, half are.
  for (const std::size_t slots : {few, few + 1, few + map.count() / 2}) {
    for (const std::vector<float>& history : histories(**whole, wanted)) {
      const auto some = load(slots, 2);
      ASSERT_TRUE(some.ok()) << some.error().message;
      weights::Experts& experts = *(*some)->tape().experts();
      experts.remember(history);
      for (const std::size_t chunk : {1u, 7u, 60u}) {
        const auto logits = (*some)->logits(ids, chunk);
        ASSERT_TRUE(logits.ok()) << logits.error().message;
        EXPECT_TRUE(same_bits(*expected, *logits))
            << slots << " slots, history of " << history.size() << ", chunk " << chunk;
      }
      EXPECT_FALSE(experts.holds_all());
      EXPECT_LT(experts.counts().hits, experts.counts().wanted);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, ExpertsLaw,
                         ::testing::Values("mixtral", "qwen2-moe", "qwen3-moe", "granite-moe",
                                           "phimoe", "ernie4.5-moe", "glm4-moe", "minimax-m2",
                                           "gpt-oss", "gpt-oss-bf16", "gpt-oss-mxfp4", "qwen3-next",
                                           "qwen3.5-moe"),
                         [](const auto& param) {
                           std::string name = param.param;
                           for (char& c : name)
                             if (c == '-' || c == '.') c = '_';
                           return name;
                         });

}  // namespace
}  // namespace ollm::testing
