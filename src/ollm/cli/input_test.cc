#include "ollm/cli/input.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace ollm::cli {
namespace {

TEST(ParseIds, TakesNumbersWithSpacesAroundCommas) {
  const auto ids = parse_ids(" 1,2 ,\t3,0, 2147483647 ");
  ASSERT_TRUE(ids.ok()) << ids.error().message;
  EXPECT_EQ(*ids, (std::vector<TokenId>{1, 2, 3, 0, 2147483647}));
}

TEST(ParseIds, RefusesAllElseByItsWord) {
  for (const std::string text : {"", ",", "1,", ",1", "1,,2", "x", "1 2", "-1", "+1", "1.0", "0x1",
                                 "2147483648", "99999999999999999999", "1;2"}) {
    const auto ids = parse_ids(text);
    ASSERT_FALSE(ids.ok()) << text;
    EXPECT_EQ(ids.error().kind, ErrorKind::invalid_argument);
    EXPECT_NE(ids.error().message.find("--ids"), std::string::npos);
  }
}

// Read as a file of that text is.
Result<std::vector<ScoreRow>> rows_of(std::string text) {
  text.push_back('\n');  // no stream is made of nothing; a blank line is passed over
  std::FILE* stream = ::fmemopen(text.data(), text.size(), "r");
  EXPECT_NE(stream, nullptr);
  Result<std::vector<ScoreRow>> rows = read_id_rows(stream, kMaxInputBytes, 300);
  std::fclose(stream);
  return rows;
}

TEST(ReadIdRows, TakesRowsAndPassesOverBlankLines) {
  const auto rows = rows_of("{\"id\": \"a\", \"ids\": [1, 2]}\r\n\n  \n{\"id\": 7, \"ids\": []}");
  ASSERT_TRUE(rows.ok()) << rows.error().message;
  ASSERT_EQ(rows->size(), 2u);
  EXPECT_EQ((*rows)[0].id, "a");
  EXPECT_EQ((*rows)[0].ids, (std::vector<TokenId>{1, 2}));
  EXPECT_EQ((*rows)[1].id, "7");
  EXPECT_TRUE((*rows)[1].ids.empty());
}

TEST(ReadIdRows, RefusesByTheLine) {
  const std::string good = "{\"id\": 1, \"ids\": [1]}\n";
  for (const std::string line :
       {"nonsense", "[]", "1", "{}", "{\"id\": 1}", "{\"id\": 1.5, \"ids\": [1]}",
        "{\"id\": null, \"ids\": [1]}", "{\"id\": 1, \"ids\": 1}", "{\"id\": 1, \"ids\": [-1]}",
        "{\"id\": 1, \"ids\": [1.0]}", "{\"id\": 1, \"ids\": [\"1\"]}",
        "{\"id\": 1, \"ids\": [2147483648]}", "{\"id\": 1, \"ids\": [18446744073709551615]}",
        "{\"id\": 1, \"ids\": [1]} {}"}) {
    const auto rows = rows_of(good + line);
    ASSERT_FALSE(rows.ok()) << line;
    EXPECT_EQ(rows.error().kind, ErrorKind::invalid_argument);
    EXPECT_TRUE(rows.error().message.starts_with("line 2: ")) << rows.error().message;
  }
}

}  // namespace
}  // namespace ollm::cli
