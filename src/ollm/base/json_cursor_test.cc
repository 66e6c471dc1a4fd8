#include "ollm/base/json_cursor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <string>

namespace ollm {
namespace {

using ::testing::HasSubstr;

TEST(JsonCursor, WalksOverADocument) {
  std::string text = R"( { "a" : [ 1 , 2 ] , "b\u0020c" : "d" } )";
  JsonCursor cursor(text);
  ASSERT_TRUE(cursor.expect('{', "an object").ok());
  EXPECT_TRUE(*cursor.more('}', true));
  EXPECT_EQ(*cursor.key(), "a");
  ASSERT_TRUE(cursor.take('['));
  EXPECT_TRUE(*cursor.more(']', true));
  EXPECT_EQ(*cursor.natural("a count"), 1u);
  EXPECT_TRUE(*cursor.more(']', false));
  EXPECT_EQ(*cursor.natural("a count"), 2u);
  EXPECT_FALSE(*cursor.more(']', false));
  EXPECT_TRUE(*cursor.more('}', false));
  EXPECT_EQ(*cursor.key(), "b c");
  EXPECT_EQ(*cursor.string("a text"), "d");
  EXPECT_FALSE(*cursor.more('}', false));
  EXPECT_EQ(cursor.peek(), '\0');
  EXPECT_EQ(cursor.position(), text.size());
}

TEST(JsonCursor, DecodesEveryEscape) {
  std::string text = R"("\"\\\/\b\f\n\r\t\u0041\u00e9\u20AC\ud83d\uDE00 tail")";
  JsonCursor cursor(text);
  EXPECT_EQ(*cursor.string("a text"), "\"\\/\b\f\n\r\tA\u00e9\u20ac\U0001f600 tail");
}

TEST(JsonCursor, NaturalsAreExactTo64Bits) {
  for (const std::string_view digits : {"0", "7", "18446744073709551615"}) {
    std::string text(digits);
    EXPECT_EQ(std::to_string(*JsonCursor(text).natural("a count")), digits);
  }
}

TEST(JsonCursor, ErrorsTellPlaceExpectedAndFound) {
  struct Case {
    std::string text;
    const char* says;
  };
  const Case cases[] = {
      {"  -1", "byte 2: expected a count, found a negative number"},
      {"1.5", "byte 0: expected a count, found '1.5', which is no whole number"},
      {"NaN", "byte 0: expected a count, found NaN"},
      {"-Infinity", "found a negative number"},
      {"", "byte 0: expected a count, found the end of the text"},
      {"\x01", "found the byte 0x01"},
      {"\u00e4", "found '\u00e4'"},
      {"00", "needless 0"},
      {"18446744073709551616", "past 2^64 - 1"},
      {"1.", "expected a digit behind the point, found the end"},
      {"1e", "expected a digit of the exponent"},
  };
  for (const Case& broken : cases) {
    std::string text = broken.text;
    const auto result = JsonCursor(text).natural("a count");
    ASSERT_FALSE(result.ok()) << text;
    EXPECT_EQ(result.error().kind, ErrorKind::corrupt);
    EXPECT_THAT(result.error().message, HasSubstr(broken.says));
  }
}

TEST(JsonCursor, SkipsWhateverAStrictParserTakesAndNothingElse) {
  // Grammar held against another implementation, on mutations of a document of all kinds.
  const std::string seed =
      R"({"a":[1,-2.5e3,true,false,null,"\u00e4\"x"],"b":{"c":{}},"d":[[],[[]]]})";
  std::mt19937 random(3);
  const std::string_view alphabet = "{}[]\",:\\u0e+-.1tfn a";
  std::size_t good = 0;
  for (int i = 0; i < 200'000; ++i) {
    std::string text = seed;
    for (std::size_t changes = random() % 3; changes > 0; --changes) {
      const std::size_t at = random() % text.size();
      const char c = alphabet[random() % alphabet.size()];
      switch (random() % 3) {
        case 0:
          text[at] = c;
          break;
        case 1:
          text.insert(text.begin() + static_cast<std::ptrdiff_t>(at), c);
          break;
        default:
          text.erase(at, 1);
      }
    }
    const bool other = nlohmann::json::accept(text);
    std::string copy = text;
    JsonCursor cursor(copy);
    const bool ours = cursor.skip_value(64).ok() && cursor.peek() == '\0';
    ASSERT_EQ(ours, other) << text;
    good += other;
  }
  EXPECT_GT(good, 1000u);
}

TEST(JsonCursor, NestingIsBounded) {
  std::string text = std::string(1'000'000, '[');
  const auto result = JsonCursor(text).skip_value(16);
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.error().message, HasSubstr("nested too deep"));
}

TEST(CheckUtf8, NamesTheFirstBadByte) {
  EXPECT_TRUE(check_utf8("plain \u00e4 \u20ac \U0001f600").ok());
  for (const std::string_view bad :
       {"\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80", "\xe2\x82", "\xc3"}) {
    const std::string text = "\u00e4bc" + std::string(bad);
    const auto result = check_utf8(text);
    ASSERT_FALSE(result.ok());
    EXPECT_THAT(result.error().message, HasSubstr("byte 4:"));
  }
}

TEST(QuoteName, IsShortAndWithoutControlCharacters) {
  EXPECT_EQ(quote_name("a\x1b[0m\n"), "'a?[0m?'");
  EXPECT_EQ(quote_name(std::string(500, 'x')), "'" + std::string(120, 'x') + "...'");
  const std::string wide = std::string(119, 'x') + "\u00e4tail";
  EXPECT_EQ(quote_name(wide), "'" + std::string(119, 'x') + "...'") << "no half character";
}

TEST(Printable, WhatSteersATerminalIsReplaced) {
  EXPECT_EQ(printable("plain \u00e4\U0001f600"), "plain \u00e4\U0001f600");
  EXPECT_EQ(printable("\x1b[31mred\x7f\r\n\t"), "?[31mred????");
  EXPECT_EQ(printable("\u009b31m\u0085\u00a0"), "?31m?\u00a0");
  EXPECT_EQ(printable("a\u202egnp.exe\u2066\u2069\u202a\u202f"), "a?gnp.exe???\u202f");
  EXPECT_EQ(printable("\xff\xc3(\xed\xa0\x80\xe2\x82"),
            std::string(2, '?') + "(" + std::string(5, '?'));
  EXPECT_EQ(quote_name("a\x1b\xff"), "'a" + std::string(2, '?') + "'");
}

}  // namespace
}  // namespace ollm
