// Which shard a request is of, and who it is between two readings. The rest is
// tests/end_to_end/batch_test.cc.
#include "ollm/cli/batch_input.h"

#include <gtest/gtest.h>

#include <string>

namespace ollm::cli {
namespace {

// The first of the authors' own list of test vectors.
TEST(BatchShard, IsByFnv1a) {
  EXPECT_EQ(fnv1a_64(""), 0xcbf29ce484222325u);
  EXPECT_EQ(fnv1a_64("a"), 0xaf63dc4c8601ec8cu);
  EXPECT_EQ(fnv1a_64("foobar"), 0x85944171f73967e8u);
}

TEST(BatchShard, EachRequestIsOfOne) {
  for (int i = 0; i < 100; ++i) {
    int of = 0;
    for (std::uint64_t index = 1; index <= 7; ++index)
      of += Shard{index, 7}.has("r-" + std::to_string(i)) ? 1 : 0;
    EXPECT_EQ(of, 1);
  }
  EXPECT_TRUE((Shard{1, 7}.has(std::nullopt)));
  EXPECT_FALSE((Shard{2, 7}.has(std::nullopt)));
}

TEST(BatchIndex, KeepsWhatIsAnswered) {
  BatchIndex index;
  const auto row = [](const char* text) { return openai::read_batch_row(text); };
  const openai::BatchRow a = row(R"({"custom_id": "a"})");
  const openai::BatchRow b = row(R"({"custom_id": "b"})");
  const openai::BatchRow bad = row("bad");
  index.add(a, true);
  index.add(bad, true);
  index.add(b, false);
  index.add(bad, true);
  EXPECT_FALSE(index.finish().has_value());
  const auto answer = [](const openai::BatchRow& to) {
    return openai::AnswerHead{to.id, to.custom_id, 200, ""};
  };
  EXPECT_EQ(index.keep(answer(a)), BatchIndex::Match::kept);
  EXPECT_EQ(index.keep(answer(a)), BatchIndex::Match::twice);
  EXPECT_EQ(index.keep(answer(b)), BatchIndex::Match::of_others);
  EXPECT_EQ(index.keep(answer(bad)), BatchIndex::Match::kept);
  EXPECT_EQ(index.keep(answer(bad)), BatchIndex::Match::kept);  // there are two of them
  EXPECT_EQ(index.keep(answer(bad)), BatchIndex::Match::twice);
  EXPECT_EQ(index.keep(answer(row(R"({"custom_id": "a", "body": 1})"))), BatchIndex::Match::edited);
  EXPECT_EQ(index.keep(answer(row(R"({"custom_id": "c"})"))), BatchIndex::Match::unknown);
  EXPECT_EQ(index.count(BatchIndex::State::kept), 3u);
  EXPECT_EQ(index.count(BatchIndex::State::pending), 0u);
  EXPECT_TRUE(index.is(0, a));
  EXPECT_FALSE(index.is(0, b));
}

TEST(BatchIndex, FindsOneNameTwice) {
  BatchIndex index;
  for (const char* name : {"a", "b", "c", "b"}) {
    openai::BatchRow row;
    row.id = "batch_0";
    row.custom_id = name;
    index.add(row, true);
  }
  const auto twice = index.finish();
  ASSERT_TRUE(twice.has_value());
  EXPECT_EQ(*twice, (std::pair<std::size_t, std::size_t>(1, 3)));
}

}  // namespace
}  // namespace ollm::cli
