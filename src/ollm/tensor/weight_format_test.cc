#include "ollm/tensor/weight_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
              HasSubstr("F4"));
  EXPECT_THAT(unsupported_reason({WeightElement::bf16, BlockScale{ScaleType::f32, 128, 128}}),
              HasSubstr("scales"));
  EXPECT_THAT(unsupported_reason({WeightElement::bf16, std::nullopt, WeightLayout::in_by_out}),
              HasSubstr("[in, out]"));
}

TEST(WeightFormat, TwoWeightsOfFourBitsTakeAByte) {
  EXPECT_EQ(size_bytes({WeightElement::e2m1}, 32), 16U);
}

}  // namespace
}  // namespace ollm
