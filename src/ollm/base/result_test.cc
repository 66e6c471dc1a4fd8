#include "ollm/base/result.h"

#include <gtest/gtest.h>

#include <memory>

namespace ollm {
namespace {

Result<int> half(int value) {
  if (value % 2 != 0) return fail(ErrorKind::invalid_argument, "odd");
  return value / 2;
}

Result<int> quarter(int value) {
  OLLM_TRY(const int once, half(value));
  OLLM_TRY(const int twice, half(once));
  return twice;
}

Result<void> only_even(int value) {
  OLLM_TRY_VOID(half(value));
  return {};
}

TEST(Result, TryPassesValuesAndErrorsOn) {
  EXPECT_EQ(*quarter(12), 3);
  ASSERT_FALSE(quarter(6).ok());
  EXPECT_EQ(quarter(6).error().kind, ErrorKind::invalid_argument);
  EXPECT_TRUE(only_even(2).ok());
  EXPECT_FALSE(only_even(3).ok());
}

TEST(Result, HoldsMoveOnlyValues) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(7);
  std::unique_ptr<int> value = std::move(result).value();
  EXPECT_EQ(*value, 7);
}

TEST(Error, GrowsAPrefixOnEachFloor) {
  const Error error = fail(ErrorKind::io, "short read").within("layer 12").within("load");
  EXPECT_EQ(error.message, "load: layer 12: short read");
  EXPECT_EQ(to_string(error.kind), "io");
}

}  // namespace
}  // namespace ollm
