#include "ollm/openai/text_parts.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace ollm::openai {
namespace {

TEST(TextParts, AreTheTextThatWasPutIn) {
  TextParts parts;
  std::string text;
  for (std::size_t i = 0; i < 300; ++i) {
    const std::string more(i * 17 % 3000, static_cast<char>('a' + i % 26));
    parts.add(more);
    text += more;
    TextParts others;
    others.add(more + more);
    others.add(std::string(i * 131 % 20'000, 'x'));
    text += others.joined();
    parts.add(std::move(others));
  }
  EXPECT_EQ(parts.size(), text.size());
  EXPECT_EQ(parts.joined(), text);
  std::string taken;
  for (const std::string& part : std::move(parts).take()) taken += part;
  EXPECT_EQ(taken, text);
}

TEST(TextParts, HoldLittleMoreThanTheirText) {
  TextParts parts;
  for (int i = 0; i < 77; ++i) {
    TextParts more;  // as a choice is, a list that grew
    for (int k = 0; k < 1300; ++k) more.add("0123456789");
    parts.add(std::move(more));
  }
  parts.shrink();
  std::size_t held = 0;
  for (const std::string& part : std::move(parts).take()) held += part.capacity();
  EXPECT_LE(held, std::size_t{1'100'000});
}

}  // namespace
}  // namespace ollm::openai
