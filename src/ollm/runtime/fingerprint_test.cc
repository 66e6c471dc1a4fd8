// That each thing which decides a bit is in the fingerprint, and nothing else.
#include "ollm/runtime/fingerprint.h"

#include <gtest/gtest.h>

#include "ollm/backend/backend.h"
#include "ollm/backend/numerics.h"
#include "ollm/kv/strategies.h"

namespace ollm::runtime {
namespace {

models::Composition composition() {
  models::Composition made;
  made.hidden_size = 8;
  made.vocab_size = 16;
  made.max_positions = 64;
  made.tape.matrices = {{.tensor = "w", .rows = 16, .cols = 8, .tensor_rows = 16}};
  made.tape.vectors = {{.tensor = "n", .size = 8, .tensor_size = 8}};
  made.rotaries.resize(1);
  made.rotaries[0].inverse_frequencies = {1.0F, 0.5F};
  made.rotaries[0].beyond = models::RotarySpec::Beyond{32, {0.25F, 0.125F}};
  models::AttentionSpec mixer;
  mixer.heads = 2;
  mixer.kv_heads = 1;
  mixer.head_dim = 4;
  made.layers.resize(1);
  made.layers[0].mixer = mixer;
  made.layers[0].feed_forward = models::NoFeedForward{};
  return made;
}

class Fingerprint : public ::testing::Test {
 protected:
  Fingerprint() {
    models::settle_context(composition_, 16);
    kv_.strategy = kv::kPaged;
    kv_.layers = models::kv_layers(composition_, backend_.compute);
  }
  Digest now() const { return fingerprint(content_, composition_, backend_, kv_); }

  Digest content_ = sha256("weights");
  models::Composition composition_ = composition();
  backend::Options backend_{backend::Isa::scalar, backend::ComputeMode::f32};
  kv::Options kv_;
};

TEST_F(Fingerprint, HasTheContentOfTheFiles) {
  const Digest before = now();
  content_ = sha256("other weights");
  EXPECT_NE(now(), before);
}

TEST_F(Fingerprint, HasEveryDefaultThatTheFamilyChose) {
  const Digest before = now();
  std::get<models::AttentionSpec>(composition_.layers[0].mixer).scale = 0.5F;
  EXPECT_NE(now(), before);
}

TEST_F(Fingerprint, HasThePlannedContextWhereItDecidesFrequenciesAndNowhereElse) {
  const Digest before = now();
  composition_ = composition();
  models::settle_context(composition_, 32);
  EXPECT_EQ(now(), before) << "the same set of frequencies";
  composition_ = composition();
  models::settle_context(composition_, 33);
  EXPECT_NE(now(), before);
}

TEST_F(Fingerprint, HasTheComputeMode) {
  const Digest before = now();
  backend_.compute = backend::ComputeMode::bf16;
  EXPECT_NE(now(), before);
}

TEST_F(Fingerprint, HasTheNumericClassAndNotTheTable) {
  for (const auto compute : {backend::ComputeMode::f32, backend::ComputeMode::bf16}) {
    backend_ = {backend::Isa::scalar, compute};
    const Digest scalar = now();
    for (const backend::Isa isa : backend::supported_isas()) {
      backend_.isa = isa;
      EXPECT_EQ(now() == scalar, backend::numeric_class_name(backend_) == "fma16");
    }
    backend_.isa = backend::Isa::reference;
    EXPECT_NE(now(), scalar);
  }
}

TEST_F(Fingerprint, HasStrategiesThatChangeTheAnswerAndNoOthers) {
  const Digest exact = now();
  std::size_t changing = 0;
  for (const kv::Strategy& strategy : kv::kStrategies) {
    kv_.strategy = strategy.id;
    if (now() != exact) ++changing;
  }
  EXPECT_EQ(changing, 2u);
  kv_.strategy = kv::kQuantizedColdTier;
  const Digest quantized = now();
  EXPECT_NE(quantized, exact);
  kv_.block_tokens *= 2;
  EXPECT_NE(now(), quantized);
  kv_.block_tokens /= 2;
  kv_.strategy = kv::kSlidingWindow;
  kv_.layers[0].window = 4;
  const Digest narrow = now();
  EXPECT_NE(narrow, exact);
  EXPECT_NE(narrow, quantized);
  kv_.layers[0].window = 8;
  EXPECT_NE(now(), narrow);
}

TEST_F(Fingerprint, HasNothingThatNoBitDependsOn) {
  const Digest before = now();
  kv_.block_tokens = 512;
  kv_.max_blocks = 1000;
  kv_.frames = 10;
  kv_.ring_slots = 8;
  kv_.slot_bytes = 1 << 20;
  kv_.pool = kv::PoolOptions{.folder = "/somewhere", .cap_bytes = 5};
  EXPECT_EQ(now(), before);
}

}  // namespace
}  // namespace ollm::runtime
