#include "ollm/tensor/shape.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace ollm {
namespace {

using ::testing::HasSubstr;

TEST(Shape, CountsElementsAndBytes) {
  const Shape shape{4096, 14336};
  EXPECT_EQ(shape.rank(), 2u);
  EXPECT_EQ(shape[1], 14336u);
  EXPECT_EQ(shape.element_count(), 58720256u);
  EXPECT_EQ(size_bytes(DType::bf16, shape), 117440512u);
  EXPECT_EQ(to_string(shape), "[4096, 14336]");
}

TEST(Shape, RankZeroIsOneElement) {
  EXPECT_EQ(Shape().element_count(), 1u);
  EXPECT_EQ(size_bytes(DType::f64, Shape()), 8u);
  EXPECT_EQ(to_string(Shape()), "[]");
}

TEST(Shape, ASizeOfZeroMakesItEmpty) {
  EXPECT_EQ((Shape{3, 0, 5}).element_count(), 0u);
  EXPECT_EQ(size_bytes(DType::f32, Shape{0}), 0u);
}

TEST(Shape, EqualMeansRankAndSizes) {
  EXPECT_EQ((Shape{2, 3}), (Shape{2, 3}));
  EXPECT_NE((Shape{2, 3}), (Shape{3, 2}));
  EXPECT_NE((Shape{2}), (Shape{2, 0}));
}

TEST(Shape, MoreThanEightSizesAreUnsupported) {
  EXPECT_TRUE(Shape::make(std::vector<std::uint64_t>(8, 1)).ok());
  const auto shape = Shape::make(std::vector<std::uint64_t>(9, 1));
  ASSERT_FALSE(shape.ok());
  EXPECT_EQ(shape.error().kind, ErrorKind::unsupported);
  EXPECT_THAT(shape.error().message, HasSubstr("9 sizes"));
}

TEST(Shape, ElementsPast63BitsAreCorrupt) {
  constexpr std::uint64_t k32 = 1ull << 32;
  EXPECT_TRUE(Shape::make(std::vector<std::uint64_t>{k32, k32 / 2 - 1}).ok());
  for (const std::vector<std::uint64_t>& sizes :
       {std::vector<std::uint64_t>{k32, k32 / 2},  // 2^63
        {k32, k32},                                // 2^64, which wraps to 0
        {k32, k32, k32},
        {0, k32, k32},  // empty, but a product of some of its sizes would wrap
        {1ull << 63},
        {~0ull}}) {
    const auto shape = Shape::make(sizes);
    ASSERT_FALSE(shape.ok());
    EXPECT_EQ(shape.error().kind, ErrorKind::corrupt);
    EXPECT_THAT(shape.error().message, HasSubstr("more elements than"));
  }
}

TEST(Shape, BytesPast63BitsAreNothing) {
  const Shape shape{1ull << 61};
  EXPECT_EQ(size_bytes(DType::bf16, shape), 1ull << 62);
  EXPECT_EQ(size_bytes(DType::f32, shape), std::nullopt);
  EXPECT_EQ(size_bytes(DType::f64, shape), std::nullopt);
}

TEST(ShapeDeathTest, OursMayNotOverflow) {
  EXPECT_DEATH((Shape{1ull << 32, 1ull << 32}), "broken invariant");
}

}  // namespace
}  // namespace ollm
