#include "ollm/base/text_size.h"

#include <gtest/gtest.h>

namespace ollm {
namespace {

TEST(ParseBytes, TakesWhatTheContractNames) {
  EXPECT_EQ(*parse_bytes("512MiB"), 512ull << 20);
  EXPECT_EQ(*parse_bytes("4GiB"), 4ull << 30);
  EXPECT_EQ(*parse_bytes("4G"), 4ull << 30);
  EXPECT_EQ(*parse_bytes("4GB"), 4000000000ull);
  EXPECT_EQ(*parse_bytes("4gb"), 4000000000ull);
  EXPECT_EQ(*parse_bytes("1.5 GiB"), 3ull << 29);
  EXPECT_EQ(*parse_bytes("9223372036854775807"), 9223372036854775807ull);
  EXPECT_EQ(*parse_bytes("0"), 0ull);
}

TEST(ParseBytes, RefusesSignsUnitsAndOverflow) {
  for (const char* text :
       {"", "-5", "+5", " 5", "5 ", "5XB", "5GiBs", "1e9", "0x10", "9223372036854775808",
        "99999999TiB", "1.5", "GiB", ".5GiB", "5..5GiB", "nan", "inf"}) {
    const auto result = parse_bytes(text);
    ASSERT_FALSE(result.ok()) << text;
    EXPECT_EQ(result.error().kind, ErrorKind::invalid_argument) << text;
    EXPECT_NE(result.error().message.find(text), std::string::npos) << result.error().message;
  }
}

TEST(ParseTokens, KIs1024) {
  EXPECT_EQ(*parse_tokens("32k"), 32768u);
  EXPECT_EQ(*parse_tokens("1M"), 1048576u);
  EXPECT_EQ(*parse_tokens("4096"), 4096u);
  EXPECT_FALSE(parse_tokens("-1").ok());
  EXPECT_FALSE(parse_tokens("4GiB").ok());
}

TEST(ParseAge, IsInSeconds) {
  EXPECT_EQ(*parse_age("90"), 90u);
  EXPECT_EQ(*parse_age("30min"), 1800u);
  EXPECT_EQ(*parse_age("1.5h"), 5400u);
  EXPECT_EQ(*parse_age("7d"), 604800u);
  EXPECT_EQ(*parse_age("2w"), 1209600u);
  for (const char* text : {"", "-1d", "7m", "7 months", "d"}) {
    const auto result = parse_age(text);
    ASSERT_FALSE(result.ok()) << text;
    EXPECT_EQ(result.error().kind, ErrorKind::invalid_argument);
  }
  EXPECT_NE(parse_age("old").error().message.find("'old' is not an age: write 7d"),
            std::string::npos);
}

TEST(FormatBytes, IsShort) {
  EXPECT_EQ(format_bytes(812), "812 B");
  EXPECT_EQ(format_bytes(3ull << 20), "3.0 MiB");
  EXPECT_EQ(format_bytes(1048575), "1.0 MiB");
  EXPECT_EQ(format_bytes(16213ull << 20), "15.8 GiB");
}

}  // namespace
}  // namespace ollm
