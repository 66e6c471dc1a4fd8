#include "ollm/tensor/dtype.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

namespace ollm {
namespace {

TEST(DType, HasTheSpellingAndWidthOfTheFormat) {
  const std::map<std::string, std::uint32_t> format{
      {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E5M2", 1}, {"F8_E4M3", 1},
      {"I16", 2},  {"U16", 2}, {"F16", 2}, {"BF16", 2},    {"I32", 4},
      {"U32", 4},  {"F32", 4}, {"F64", 8}, {"I64", 8},     {"U64", 8}};
  EXPECT_EQ(std::size(kDTypes), format.size());
  for (const auto& [name, bytes] : format) {
    const auto dtype = parse_dtype(name);
    ASSERT_TRUE(dtype.ok()) << name;
    EXPECT_EQ(to_string(*dtype), name);
    EXPECT_EQ(size_bytes(*dtype), bytes) << name;
  }
}

TEST(DType, ThoseNotBuiltAreRefusedByName) {
  for (const char* name :
       {"F4", "F6_E2M3", "F6_E3M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "C64"}) {
    const auto dtype = parse_dtype(name);
    ASSERT_FALSE(dtype.ok()) << name;
    EXPECT_EQ(dtype.error().kind, ErrorKind::unsupported);
    EXPECT_THAT(dtype.error().message, ::testing::HasSubstr(name));
  }
}

TEST(DType, AnUnknownSpellingIsCorrupt) {
  for (const char* name : {"", "bf16", "BF16 ", "FLOAT32", "F3", "I128"}) {
    const auto dtype = parse_dtype(name);
    ASSERT_FALSE(dtype.ok()) << name;
    EXPECT_EQ(dtype.error().kind, ErrorKind::corrupt);
    EXPECT_THAT(dtype.error().message, ::testing::HasSubstr(std::string("'") + name + "'"));
  }
}

}  // namespace
}  // namespace ollm
