#include "ollm/cli/printed.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace ollm::cli {
namespace {

using std::string_literals::operator""s;

TEST(Printable, LeavesTextAsItIs) {
  for (const std::string& text :
       {""s, "a\tb\nc"s, "\u00E9 \u4E2D \U0001F600"s, "\u00A0\u00FF"s, "\\x1b \\n"s})
    EXPECT_EQ(printable(text), text);
}

TEST(Printable, ShowsControlsOfBothSets) {
  EXPECT_EQ(printable("\033[31mred"), "\\x1b[31mred");
  EXPECT_EQ(printable("a\0b"s), "a\\x00b");
  EXPECT_EQ(printable("\a\b\v\f\x7F"), "\\x07\\x08\\x0b\\x0c\\x7f");
  EXPECT_EQ(printable("\u0080\u009B2J\u009F"), "\\x80\\x9b2J\\x9f");
  EXPECT_EQ(printable("safe\rlost"), "safe\\x0dlost");
  EXPECT_EQ(printable("line\r\nnext"), "line\nnext");
}

TEST(Printable, ShowsBytesThatAreNoCharacters) {
  EXPECT_EQ(printable("a\xFF"), "a\\xff");
  EXPECT_EQ(printable("\x9B"), "\\x9b");                    // C1 of terminals that take bytes
  EXPECT_EQ(printable("\xC3"), "\\xc3");                    // cut off
  EXPECT_EQ(printable("\xC0\x9B"), "\\xc0\\x9b");           // overlong
  EXPECT_EQ(printable("\xED\xA0\x80"), "\\xed\\xa0\\x80");  // a surrogate
  EXPECT_EQ(printable("\xF4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
}

TEST(Printable, NeverLetsAControlThrough) {
  for (int first = 0; first < 256; ++first) {
    for (int second = 0; second < 256; ++second) {
      const std::string text = {static_cast<char>(first), static_cast<char>(second), 'x'};
      const std::string shown = printable(text);
      for (std::size_t i = 0; i < shown.size(); ++i) {
        const auto byte = static_cast<unsigned char>(shown[i]);
        EXPECT_TRUE((byte >= 0x20 && byte != 0x7F) || byte == '\n' || byte == '\t') << text;
        EXPECT_FALSE(byte == 0xC2 && static_cast<unsigned char>(shown[i + 1]) < 0xA0) << text;
      }
      EXPECT_EQ(printable(shown), shown);
    }
  }
}

}  // namespace
}  // namespace ollm::cli
