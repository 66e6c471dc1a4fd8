#include "ollm/checkpoint/tensor_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace ollm::checkpoint {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TensorInfo tensor(std::string name, std::uint32_t file, std::uint64_t offset) {
  return {std::move(name), DType::bf16, Shape{2, 4}, file, offset, 16};
}

const std::vector<WeightFile> kTwoFiles{{"one.safetensors", {}}, {"two.safetensors", {}}};

TEST(TensorIndex, FindsByNameAndListsByFile) {
  const auto index =
      TensorIndex::make({tensor("c", 1, 8), tensor("a", 0, 24), tensor("b", 0, 8)}, kTwoFiles);
  ASSERT_TRUE(index.ok());
  ASSERT_EQ(index->tensors().size(), 3u);
  EXPECT_EQ(index->tensors()[0].name, "b");
  EXPECT_EQ(index->tensors()[1].name, "a");
  EXPECT_EQ(index->tensors()[2].name, "c");
  EXPECT_EQ(index->total_bytes(), 48u);
  EXPECT_EQ(index->find("c")->file, 1u);
  EXPECT_EQ(index->find("d"), nullptr);
  EXPECT_EQ(index->find(""), nullptr);
  EXPECT_EQ((*index->require("a"))->offset_bytes, 24u);
  EXPECT_EQ(index->files()[1].path, "two.safetensors");
}

TEST(TensorIndex, AMissingTensorIsNotFoundWithTheNearestName) {
  const auto index = TensorIndex::make(
      {tensor("model.layers.0.mlp.up_proj.weight", 0, 8),
       tensor("model.layers.10.mlp.up_proj.weight", 0, 24), tensor("lm_head.weight", 0, 40)},
      kTwoFiles);
  ASSERT_TRUE(index.ok());
  const auto missing = index->require("model.layers.11.mlp.up_proj.weight");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().kind, ErrorKind::not_found);
  EXPECT_THAT(missing.error().message, AllOf(HasSubstr("'model.layers.11.mlp.up_proj.weight'"),
                                             HasSubstr("'model.layers.10.mlp.up_proj.weight'")));
  EXPECT_EQ(TensorIndex().require("x").error().message, "the model has no tensor 'x'");
}

TEST(TensorIndex, ANameThatStandsTwiceIsCorrupt) {
  const auto index = TensorIndex::make({tensor("a", 0, 8), tensor("a", 1, 8)}, kTwoFiles);
  ASSERT_FALSE(index.ok());
  EXPECT_EQ(index.error().kind, ErrorKind::corrupt);
  EXPECT_THAT(index.error().message,
              AllOf(HasSubstr("tensor 'a' stands twice"), HasSubstr("one.safetensors"),
                    HasSubstr("two.safetensors")));
}

TEST(TensorIndex, ASizeThatIsNotThatOfTheShapeIsCorrupt) {
  TensorInfo wrong = tensor("a", 0, 8);
  wrong.size_bytes = 17;
  EXPECT_EQ(TensorIndex::make({wrong}, kTwoFiles).error().kind, ErrorKind::corrupt);
}

TEST(TensorIndex, AFileThatIsNotThereIsInvalid) {
  EXPECT_EQ(TensorIndex::make({tensor("a", 2, 8)}, kTwoFiles).error().kind,
            ErrorKind::invalid_argument);
}

TEST(TensorIndex, MoreBytesThan64BitsAreCorrupt) {
  const std::uint64_t half = 1ull << 62;
  std::vector<TensorInfo> tensors;
  for (const char* name : {"a", "b", "c", "d"})
    tensors.push_back({name, DType::u8, Shape{half}, 0, 8, half});
  EXPECT_EQ(TensorIndex::make(tensors, kTwoFiles).error().kind, ErrorKind::corrupt);
}

}  // namespace
}  // namespace ollm::checkpoint
