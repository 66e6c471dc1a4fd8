#include "ollm/tensor/weight_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "ollm/tensor/float16.h"
#include "ollm/tensor/mxfp4.h"

namespace ollm {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(WeightFormat, TypesOfTensorsThatHoldWeightsHaveAPlainOne) {
  for (const DType dtype : kDTypes) {
    const std::optional<WeightFormat> format = plain_format(dtype);
    const bool weights = dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16 ||
                         dtype == DType::f8_e4m3;
    ASSERT_EQ(format.has_value(), weights) << to_string(dtype);
    if (!weights) continue;
    EXPECT_EQ(to_string(format->element), to_string(dtype));
    EXPECT_EQ(size_bytes(*format, 10), 10 * size_bytes(dtype));
    EXPECT_FALSE(format->scale.has_value());
    EXPECT_EQ(format->layout, WeightLayout::out_by_in);
  }
}

TEST(WeightFormat, WhatIsNotBuiltIsSaidByName) {
  EXPECT_THAT(unsupported_reason({WeightElement::bf16}), IsEmpty());
  EXPECT_THAT(unsupported_reason({WeightElement::f16}), IsEmpty());
  EXPECT_THAT(unsupported_reason({WeightElement::f32}), IsEmpty());
  EXPECT_THAT(unsupported_reason({WeightElement::e4m3}), HasSubstr("F8_E4M3"));
  EXPECT_THAT(unsupported_reason({WeightElement::e2m1, BlockScale{ScaleType::e8m0, 1, 32}}),
              IsEmpty());
  EXPECT_THAT(unsupported_reason({WeightElement::e2m1}), HasSubstr("F4"));
  EXPECT_THAT(unsupported_reason({WeightElement::e2m1, BlockScale{ScaleType::e8m0, 1, 16}}),
              HasSubstr("F4"));
  EXPECT_THAT(unsupported_reason({WeightElement::bf16, BlockScale{ScaleType::f32, 128, 128}}),
              HasSubstr("scales"));
  EXPECT_THAT(unsupported_reason({WeightElement::bf16, std::nullopt, WeightLayout::in_by_out}),
              IsEmpty());
  EXPECT_THAT(unsupported_reason({WeightElement::e2m1, kMxfp4.scale, WeightLayout::in_by_out}),
              HasSubstr("F4"));
}

TEST(WeightFormat, TwoWeightsOfFourBitsTakeAByte) {
  EXPECT_EQ(size_bytes({WeightElement::e2m1}, 32), 16U);
}

TEST(WeightFormat, ScalesThatMakeAWeightInfiniteOrANanAreNotValid) {
  for (const std::size_t size : {1, 63, 64, 65, 200}) {
    std::vector<std::byte> scales(size, std::byte{252});
    EXPECT_TRUE(scales_are_valid(kMxfp4, scales));
    for (std::size_t i = 0; i < size; ++i) {
      for (const std::byte bad : {std::byte{253}, std::byte{254}, std::byte{255}}) {
        scales[i] = bad;
        EXPECT_FALSE(scales_are_valid(kMxfp4, scales)) << size << ", " << i;
      }
      scales[i] = std::byte{0};
    }
    EXPECT_TRUE(scales_are_valid(kMxfp4, scales));
  }
  EXPECT_TRUE(scales_are_valid(kMxfp4, {}));
  EXPECT_FALSE(scales_are_valid({WeightElement::bf16}, {}));
}

// 6 * 2^(252 - 127) is finite in bf16, the next one is not.
TEST(WeightFormat, TheLargestScaleIsTheLastThatLeavesAllCodesFinite) {
  EXPECT_EQ(f32_to_bf16(scaled_e2m1(7, kLargestE8m0)), 0x7f40);
  EXPECT_EQ(scaled_e2m1(7, kLargestE8m0), 0x1.8p127f);
}

}  // namespace
}  // namespace ollm
