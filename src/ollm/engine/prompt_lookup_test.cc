#include "ollm/engine/prompt_lookup.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "ollm/engine/draft_depth.h"

namespace ollm::engine {
namespace {

using Line = std::vector<TokenId>;

std::optional<PromptLookup::Match> find(const Line& line) {
  PromptLookup lookup(line.size());
  lookup.follow(line);
  return lookup.find(line);
}

TEST(PromptLookup, FindsWhereTheLongestSuffixStoodBefore) {
  //               0  1  2  3  4  5  6  7  8  9 10 11 12 13 14
  const Line line{9, 1, 2, 3, 4, 7, 7, 2, 3, 4, 8, 1, 2, 3, 4};
  const auto match = find(line);
  ASSERT_TRUE(match);
  EXPECT_EQ(match->next, 5U);  // behind 1 2 3 4, not behind the later 2 3 4
  EXPECT_EQ(match->tokens, 4U);
}

TEST(PromptLookup, PrefersTheLatestOfEquals) {
  const auto match = find({1, 2, 3, 5, 1, 2, 3, 6, 1, 2, 3});
  ASSERT_TRUE(match);
  EXPECT_EQ(match->next, 7U);
}

TEST(PromptLookup, FindsNothingInWhatIsNewOrShort) {
  EXPECT_FALSE(find({}));
  EXPECT_FALSE(find({1, 2, 3}));
  EXPECT_FALSE(find({1, 2, 3, 4, 5, 6}));
  EXPECT_FALSE(find({1, 2, 9, 1, 2}));
}

TEST(PromptLookup, GoesOnWhereALoopRuns) {
  const auto match = find({5, 5, 5, 5});
  ASSERT_TRUE(match);
  EXPECT_EQ(match->next, 3U);
}

// Token by token it knows what it knows of the whole, and what it finds is there.
TEST(PromptLookup, FollowsALine) {
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    const TokenId kinds = static_cast<TokenId>(2 + random() % 6);
    Line line;
    PromptLookup lookup(300);
    for (int i = 0; i < 300; ++i) {
      line.push_back(static_cast<TokenId>(random()) % kinds);
      if (random() % 3 == 0) continue;  // some come together
      lookup.follow(line);
      const auto match = lookup.find(line);
      const auto fresh = find(line);
      ASSERT_EQ(match.has_value(), fresh.has_value());
      if (!match) continue;
      EXPECT_EQ(match->next, fresh->next);
      ASSERT_LT(match->next, line.size());
      ASSERT_LE(match->tokens, match->next);
      EXPECT_TRUE(
          std::equal(line.end() - static_cast<std::ptrdiff_t>(match->tokens), line.end(),
                     line.begin() + static_cast<std::ptrdiff_t>(match->next - match->tokens)));
    }
  }
}

TEST(PromptLookup, PassesByWhatItHasNoRoomFor) {
  const Line line{1, 2, 3, 1, 2, 3};
  PromptLookup lookup(4);
  lookup.follow(line);
  EXPECT_FALSE(lookup.find(line));
}

TEST(DraftDepth, FollowsWhatHolds) {
  DraftDepth depth(0.02);
  for (int i = 0; i < 50; ++i) {
    const std::size_t guesses = depth.depth(8, 32);
    depth.judge(8, guesses, guesses);
  }
  EXPECT_EQ(depth.depth(8, 32), 32U);
  EXPECT_EQ(depth.depth(8, 5), 5U);
  int wasted = 0;
  for (int i = 0; i < 500; ++i) {
    const std::size_t guesses = depth.depth(8, 32);
    wasted += static_cast<int>(guesses);
    if (guesses > 0) depth.judge(8, guesses, 0);
  }
  // Once it knows that none holds, a guess now and then looks whether one does again.
  EXPECT_LT(wasted, 300);
  EXPECT_GT(wasted, 5);
}

TEST(DraftDepth, KeepsMatchesOfSomeLengthsApart) {
  DraftDepth depth(0.05);
  for (int i = 0; i < 60; ++i) {
    depth.judge(3, 1, 0);
    depth.judge(20, 8, 8);
  }
  EXPECT_EQ(depth.depth(3, 16), 0U);
  EXPECT_GT(depth.depth(20, 16), 8U);
}

TEST(DraftDepth, MakesNoneWhereRowsAreDear) {
  DraftDepth depth(1);
  EXPECT_EQ(depth.depth(64, 32), 0U);
}

}  // namespace
}  // namespace ollm::engine
