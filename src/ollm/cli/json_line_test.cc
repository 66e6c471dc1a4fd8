#include "ollm/cli/json_line.h"

#include <gtest/gtest.h>

#include <string>

namespace ollm::cli {
namespace {

std::string nested(int depth) {
  return "{\"a\": " + std::string(static_cast<std::size_t>(depth - 1), '[') +
         std::string(static_cast<std::size_t>(depth - 1), ']') + "}";
}

TEST(JsonLine, IsAnObjectAndNoDeeperThanTheLimit) {
  EXPECT_TRUE(parse_json_line("{\"a\": 1}").ok());
  EXPECT_TRUE(parse_json_line(nested(kJsonDepthMax)).ok());
  for (const std::string& line :
       {nested(kJsonDepthMax + 1), nested(1'000'000), std::string(1'000'000, '['), std::string(),
        std::string("[]"), std::string("{\"a\": 1} {}"), std::string("{\"a\": \xff\"}")}) {
    const auto value = parse_json_line(line);
    ASSERT_FALSE(value.ok()) << line.substr(0, 80);
    EXPECT_EQ(value.error().kind, ErrorKind::invalid_argument);
  }
}

TEST(JsonLine, BracketsInTextsDoNotNest) {
  const std::string brackets(1000, '[');
  const auto value = parse_json_line("{\"a\": \"\\\"" + brackets + "\\\\\"}");
  ASSERT_TRUE(value.ok()) << value.error().message;
  EXPECT_EQ((*value)["a"], "\"" + brackets + "\\");
}

TEST(JsonLine, ShownValuesAreShort) {
  EXPECT_EQ(shown(-1.5), "-1.5");
  EXPECT_EQ(shown("x"), "\"x\"");
  EXPECT_EQ(shown({{"a", 1}}), "a value of type object");
  EXPECT_EQ(shown(std::string(1000, 'x')).size(), 67u);
}

}  // namespace
}  // namespace ollm::cli
