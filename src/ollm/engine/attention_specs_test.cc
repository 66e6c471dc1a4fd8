// What an AttentionSpec may say, through whole sweeps: each is there in the logits, every table
// agrees with the reference, and chunks change no bit.
#include <gtest/gtest.h>

#include <string>

#include "ollm/engine/tiny_engine.h"

namespace ollm::engine {
namespace {

struct Case {
  std::string name;
  std::vector<TinyLayer> layers;
};

std::vector<Case> cases() {
  return {
      {"soft_cap", {{}, {.soft_cap = 0.5F}, {.soft_cap = 1}}},
      {"sinks", {{.sinks = true}, {}, {.sinks = true}}},
      {"distance_slopes", {{.distance_slope = 0.5F}, {}, {.distance_slope = 0.1F}}},
      {"interleaved", {{}, {.interleaved = true}, {}}},
      {"value_dim", {{.value_dim = 24}, {}, {.value_dim = 8}}},
      {"windows", {{.window = 10}, {}, {.window = 70}}},
      {"kv_of_layer", {{}, {.window = 30}, {.kv_of_layer = 0}}},
      {"all",
       {{.value_dim = 40, .window = 50, .soft_cap = 2, .sinks = true, .interleaved = true},
        {.heads = 6, .kv_heads = 1, .head_dim = 20},
        {.value_dim = 40, .window = 50, .sinks = true, .kv_of_layer = 0}}},
  };
}

std::vector<float> logits_of(const std::vector<TinyLayer>& layers, backend::Isa isa,
                             backend::ComputeMode mode, std::span<const TokenId> ids,
                             std::size_t chunk) {
  TinyOptions options;
  options.isa = isa;
  options.compute = mode;
  options.threads = 2;
  TinyEngine tiny(TinyModel(layers), options);
  return tiny.logits(ids, chunk);
}

class AttentionSpecs : public ::testing::TestWithParam<Case> {};

TEST_P(AttentionSpecs, ChangeTheLogits) {
  const std::vector<TokenId> ids = random_ids(80, 1);
  const auto f32 = backend::ComputeMode::f32;
  EXPECT_FALSE(same_bits(logits_of(GetParam().layers, backend::Isa::reference, f32, ids, 80),
                         logits_of({{}, {}, {}}, backend::Isa::reference, f32, ids, 80)));
}

TEST_P(AttentionSpecs, AgreeWithTheReferenceInEveryTableAndKeepTheirBits) {
  const std::vector<TokenId> ids = random_ids(150, 2);
  for (const backend::ComputeMode mode : {backend::ComputeMode::f32, backend::ComputeMode::bf16}) {
    const std::vector<float> truth =
        logits_of(GetParam().layers, backend::Isa::reference, mode, ids, 150);
    for (const backend::Isa isa : backend::supported_isas()) {
      SCOPED_TRACE(std::string(to_string(isa)) + " " + std::string(to_string(mode)));
      const std::vector<float> got = logits_of(GetParam().layers, isa, mode, ids, 150);
      // Logits are of size 1 to 5; in bf16 mode three layers may round to other neighbours.
      const float limit = mode == backend::ComputeMode::f32 ? 2e-4F : 0.15F;
      ASSERT_EQ(got.size(), truth.size());
      for (std::size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], truth[i], limit) << i;
      EXPECT_TRUE(same_bits(logits_of(GetParam().layers, isa, mode, ids, 7), got));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Specs, AttentionSpecs, ::testing::ValuesIn(cases()),
                         [](const auto& of) { return of.param.name; });

// Where the layer before adds nothing and has the same weights, its keys and values are those that
// a layer would compute itself.
TEST(SharedKeysAndValues, AreThoseOfTheEarlierLayer) {
  const std::vector<TinyLayer> shared = {
      {.sinks = true}, {.silent = true}, {.kv_of_layer = 1, .weights_of_layer = 1}, {}};
  std::vector<TinyLayer> own = shared;
  own[2].kv_of_layer.reset();
  const std::vector<TokenId> ids = random_ids(90, 3);
  const auto logits = [&](const std::vector<TinyLayer>& layers) {
    TinyModel model(layers);
    TinyEngine tiny(model);
    return tiny.logits(ids, 40);
  };
  EXPECT_FALSE(same_bits(logits(shared), logits({{.sinks = true}, {.silent = true}, {}, {}})));
  EXPECT_TRUE(same_bits(logits(shared), logits(own)));
  TinyEngine with_shared{TinyModel(shared)};
  TinyEngine with_own{TinyModel(own)};
  EXPECT_EQ(4 * kv::block_bytes(with_shared.store().options()),
            3 * kv::block_bytes(with_own.store().options()));
}

}  // namespace
}  // namespace ollm::engine
