#include "ollm/engine/row_shares.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace ollm::engine {
namespace {

std::vector<std::size_t> rows_of(std::vector<RowShare> lines, const SweepRoom& room) {
  share_rows(lines, room);
  std::vector<std::size_t> rows;
  for (const RowShare& line : lines) rows.push_back(line.rows);
  return rows;
}

TEST(RowShares, GiveEachLineARowAndTheFirstTheRest) {
  const std::vector<RowShare> lines = {{100, 99}, {1, 0}, {50, 49}};
  EXPECT_EQ(rows_of(lines, {64, 3}), (std::vector<std::size_t>{62, 1, 1}));
  EXPECT_EQ(rows_of(lines, {110, 3}), (std::vector<std::size_t>{100, 1, 9}));
  EXPECT_EQ(rows_of(lines, {500, 3}), (std::vector<std::size_t>{100, 1, 50}));
}

TEST(RowShares, AreBoundByLogits) {
  // All logits of the first are wanted, none of the second but the last.
  EXPECT_EQ(rows_of({{40, 0}, {40, 39}}, {100, 8}), (std::vector<std::size_t>{8, 39}));
  EXPECT_EQ(rows_of({{40, 39}, {40, 0}}, {100, 8}), (std::vector<std::size_t>{40, 7}));
}

TEST(RowShares, GiveGuessesEvenlyBeforePrompts) {
  std::vector<RowShare> lines = {{1, 0, true}, {100, 99}, {1, 0, true}, {1, 0}};
  share_rows(lines, {24, 20, 10});
  EXPECT_EQ(lines[0].draft_rows, 5U);
  EXPECT_EQ(lines[2].draft_rows, 5U);
  EXPECT_EQ(lines[3].draft_rows, 0U);
  EXPECT_EQ(lines[1].rows, 24U - 3 - 10);
}

// Whatever there is: nothing more than fits, nobody waits, and no row is left that one could use.
TEST(RowShares, LeaveNobodyOut) {
  std::mt19937 random(3);
  const auto any = [&](std::size_t most) { return random() % (most + 1); };
  for (int round = 0; round < 20000; ++round) {
    std::vector<RowShare> lines(1 + any(7));
    for (RowShare& line : lines) {
      line.pending = any(20);
      line.first_logit = any(1) == 0 ? any(20) : line.pending - (line.pending > 0 ? 1 : 0);
      line.may_draft = any(1) == 0;
    }
    const SweepRoom room{lines.size() + any(40), lines.size() + any(20), any(12)};
    share_rows(lines, room);
    std::size_t rows = 0;
    std::size_t logits = 0;
    std::size_t drafts = 0;
    for (const RowShare& line : lines) {
      EXPECT_LE(line.rows, line.pending);
      EXPECT_GE(line.rows, line.pending > 0 ? 1U : 0U);
      if (line.draft_rows > 0) {
        EXPECT_TRUE(line.may_draft && line.pending == 1);
      }
      rows += line.rows + line.draft_rows;
      drafts += line.draft_rows;
      logits += line.rows - std::min(line.rows, line.first_logit) + line.draft_rows;
    }
    EXPECT_LE(rows, room.rows);
    EXPECT_LE(logits, room.logit_rows);
    EXPECT_LE(drafts, room.draft_rows);
    if (rows == room.rows) continue;
    for (const RowShare& line : lines) {
      const bool wants_logit = line.rows >= line.first_logit;
      if (line.rows < line.pending) {
        EXPECT_TRUE(wants_logit && logits == room.logit_rows);
      }
    }
  }
}

}  // namespace
}  // namespace ollm::engine
