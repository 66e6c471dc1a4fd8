// Types are no part of a result: each tensor of a model may be F32, F16 or BF16. Values that all
// three hold exactly give the same logits, bit for bit, whichever types they stand in.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "ollm/io/temporary_folder.h"
#include "ollm/models/inventory.h"
#include "ollm/models/stored_head.h"
#include "tests/loaded_model.h"
#include "tests/tiny_model.h"

namespace ollm::testing {
namespace {

constexpr DType kTypes[] = {DType::f32, DType::f16, DType::bf16};
const std::vector<std::int32_t> kIds = {1, 7, 3, 0, 40, 12, 12, 9, 30, 2, 5, 17, 33};

std::string name_of(const ::testing::TestParamInfo<TinyFamily>& family) {
  return std::string(family.param.model_type);
}

class MixedTypes : public ::testing::TestWithParam<TinyFamily> {
 protected:
  // The model with the type that `type_of` gives each tensor.
  template <typename TypeOf>
  std::filesystem::path write(std::string_view name, bool tied, const TypeOf& type_of) {
    TinySizes sizes;
    sizes.tied = tied;
    std::vector<TinyTensor> tensors = tiny_tensors(GetParam(), sizes, 5);
    for (TinyTensor& tensor : tensors) tensor.dtype = type_of(tensor);
    const std::filesystem::path path = folder_.path() / name;
    std::filesystem::create_directories(path);
    write_tiny_model(path, tiny_config(GetParam(), sizes).dump(), tensors);
    return path;
  }

  std::vector<float> logits(const std::filesystem::path& folder, backend::Isa isa,
                            backend::ComputeMode compute) {
    LoadOptions options;
    options.isa = isa;
    options.compute = compute;
    options.kv_tokens = 64;
    auto model = LoadedModel::load(folder, options);
    EXPECT_TRUE(model.ok()) << model.error().message;
    if (!model.ok()) return {};
    auto found = (*model)->logits(kIds, 5);
    EXPECT_TRUE(found.ok()) << found.error().message;
    return found.ok() ? std::move(found).value() : std::vector<float>();
  }

  io::TemporaryFolder folder_;
};

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return !a.empty() && a.size() == b.size() &&
         std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

TEST_P(MixedTypes, GiveTheBitsOfOneTypeInEveryTable) {
  using backend::ComputeMode;
  const auto plain = write("f32", false, [](const TinyTensor&) { return DType::f32; });
  std::vector<std::filesystem::path> mixed;
  for (std::uint32_t seed = 0; seed < 3; ++seed) {
    std::mt19937 random(seed);
    mixed.push_back(write("mixed" + std::to_string(seed), false,
                          [&](const TinyTensor&) { return kTypes[random() % 3]; }));
  }
  for (const ComputeMode mode : {ComputeMode::f32, ComputeMode::bf16}) {
    const std::vector<float> truth = logits(plain, backend::Isa::reference, mode);
    float largest = 0;
    for (const float value : truth) largest = std::max(largest, std::abs(value));
    for (const backend::Isa isa : backend::supported_isas()) {
      SCOPED_TRACE(std::string(to_string(isa)) + ", " + std::string(to_string(mode)));
      // vdpbf16ps multiplies BF16 weights by itself; beside others their bits are another class.
      const bool one_class = numeric_class(isa, mode) == backend::NumericClass::fma16;
      const std::vector<float> expected = logits(plain, isa, mode);
      for (const std::filesystem::path& folder : mixed) {
        const std::vector<float> found = logits(folder, isa, mode);
        EXPECT_TRUE(!one_class || same_bits(found, expected)) << folder;
        ASSERT_EQ(found.size(), truth.size());
        for (std::size_t i = 0; i < found.size(); ++i) {
          ASSERT_NEAR(found[i], truth[i], largest * (mode == ComputeMode::f32 ? 1e-4F : 5e-2F))
              << folder << ", " << i;
        }
      }
    }
  }
}

// bf16 arithmetic rounds what stands beside weights; it is taken where all matrices are BF16.
// Vectors are widened and computed with in f32 whatever the mode, so their types do not count.
TEST_P(MixedTypes, OnlyMatricesDecideTheComputeMode) {
  const auto mode_of = [&](std::string_view name, auto type_of) {
    auto model = LoadedModel::load(write(name, false, type_of), {});
    EXPECT_TRUE(model.ok());
    const auto folder = checkpoint::ModelFolder::open(folder_.path() / name);
    return models::default_compute(folder->tensors(), (*model)->composition());
  };
  EXPECT_EQ(mode_of("vectors",
                    [](const TinyTensor& tensor) {
                      return tensor.shape.rank() == 1 ? DType::f32 : DType::bf16;
                    }),
            backend::ComputeMode::bf16);
  EXPECT_EQ(mode_of("embedding",
                    [](const TinyTensor& tensor) {
                      return tensor.name == "model.embed_tokens.weight" ? DType::f16 : DType::bf16;
                    }),
            backend::ComputeMode::f32);
}

INSTANTIATE_TEST_SUITE_P(Families, MixedTypes, ::testing::ValuesIn(tiny_families()), name_of);

// What the runtime asks of a tied model that stores a head: the same numbers as the embedding.
class StoredHead : public ::testing::Test {
 protected:
  Result<void> check(DType embedding, DType head, float embedded, float stored) {
    TinySizes sizes;
    sizes.tied = true;
    std::vector<TinyTensor> tensors = tiny_tensors(tiny_families()[0], sizes, 5);
    tensors.front().dtype = embedding;
    tensors.front().values.back() = embedded;
    tensors.back().dtype = head;
    tensors.back().values.back() = stored;
    write_tiny_model(folder_.path(), tiny_config(tiny_families()[0], sizes).dump(), tensors);
    OLLM_TRY(const auto model, LoadedModel::load(folder_.path(), {}));
    OLLM_TRY(const auto folder, checkpoint::ModelFolder::open(folder_.path()));
    const auto* tensor = models::stored_tied_head(folder.tensors(), model->composition());
    EXPECT_NE(tensor, nullptr);
    const models::Composition& composition = model->composition();
    OLLM_TRY(const auto* held, folder.tensors().require(
                                   composition.tape.matrices[composition.embedding.index].tensor));
    return models::check_same_values(folder, *tensor, *held);
  }

  io::TemporaryFolder folder_;
};

TEST_F(StoredHead, IsTakenInAnyTypeThatHoldsTheSameNumbers) {
  for (const DType embedding : kTypes) {
    for (const DType head : kTypes) {
      SCOPED_TRACE(std::string(to_string(embedding)) + ", " + std::string(to_string(head)));
      EXPECT_TRUE(check(embedding, head, 0.5F, 0.5F).ok());
      EXPECT_TRUE(check(embedding, head, 0.0F, -0.0F).ok());
      EXPECT_TRUE(check(embedding, head, NAN, NAN).ok());
      EXPECT_FALSE(check(embedding, head, 0.5F, NAN).ok());
      const Result<void> differs = check(embedding, head, 0.5F, 0.53125F);
      ASSERT_FALSE(differs.ok());
      EXPECT_EQ(differs.error().kind, ErrorKind::corrupt);
      EXPECT_NE(differs.error().message.find("lm_head.weight (" + std::string(to_string(head))),
                std::string::npos)
          << differs.error().message;
    }
  }
}

TEST_F(StoredHead, IsRefusedWhereItHoldsWhatTheEmbeddingWasRoundedFrom) {
  EXPECT_TRUE(check(DType::bf16, DType::bf16, 0.1F, 0.1F).ok());
  EXPECT_FALSE(check(DType::bf16, DType::f32, 0.1F, 0.1F).ok());
}

}  // namespace
}  // namespace ollm::testing
