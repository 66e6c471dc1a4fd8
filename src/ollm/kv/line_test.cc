#include "ollm/kv/line.h"

#include <gtest/gtest.h>

#include <cstring>

namespace ollm::kv {
namespace {

using backend::ComputeMode;
using backend::kTileTokens;
using backend::KvLayout;

constexpr std::size_t kLayers = 5;
constexpr std::size_t kReader = 4;  // reads what layer 1 stores

// Three groups: layers 0 and 3, layer 1, and layer 2 of the same layout within a window.
Options small_options(std::size_t max_blocks) {
  const KvLayout two_heads = {2, 16, 16, ComputeMode::f32};
  const KvLayout one_head = {1, 32, 16, ComputeMode::f32};
  Options options;
  options.layers = {{two_heads, 0, {}},
                    {one_head, 0, {}},
                    {two_heads, 100, {}},
                    {two_heads, 0, {}},
                    {one_head, 0, 1}};
  options.block_tokens = 2 * kTileTokens;
  options.max_blocks = max_blocks;
  return options;
}

class KvLine : public ::testing::Test {
 protected:
  void SetUp() override {
    Result<std::unique_ptr<Store>> made = Store::make(small_options(4), budget_);
    ASSERT_TRUE(made.ok());
    store_ = std::move(made).value();
  }

  // Marks the token in the tile of every layer that stores, at a place of its slot.
  void write(Line& line, std::size_t token, int mark) {
    for (std::size_t layer = 0; layer < kReader; ++layer) {
      line.tile_for_write(layer, token)[token % kTileTokens] =
          static_cast<std::byte>(mark + static_cast<int>(layer));
    }
  }
  void write_and_commit(Line& line, std::size_t tokens, int mark) {
    ASSERT_TRUE(line.reserve(line.tokens() + tokens).ok());
    for (std::size_t i = 0; i < tokens; ++i) write(line, line.tokens() + i, mark);
    line.commit(std::vector<TokenId>(tokens));
  }
  void expect_free(std::size_t blocks) {
    for (std::size_t group = 0; group < store_->groups(); ++group)
      EXPECT_EQ(store_->free_blocks(group), blocks) << "group " << group;
  }

  // The mark of a token; every layer has its own.
  int read(Line& line, std::size_t token) {
    const int mark = read(line, 0, token);
    for (std::size_t layer = 1; layer < kLayers; ++layer) {
      const auto of = static_cast<int>(layer == kReader ? 1 : layer);
      EXPECT_EQ(read(line, layer, token), (mark + of) % 256) << "layer " << layer;
    }
    return mark;
  }
  int read(Line& line, std::size_t layer, std::size_t token) {
    line.walk(layer, token, token + 1);
    const Result<TileRun> run = line.next_run();
    EXPECT_TRUE(run.ok());
    EXPECT_EQ(run->tiles.size(), 1u);
    EXPECT_EQ(run->first_token, token / kTileTokens * kTileTokens);
    return static_cast<int>(run->tiles[0][token % kTileTokens]);
  }

  memory::Budget budget_{std::uint64_t{64} << 20};
  std::unique_ptr<Store> store_;
};

TEST_F(KvLine, BytesOfABlockAreTilesOfAllLayersThatStore) {
  // 64 tokens x (16 + 16) floats x 2 heads, three times, and 64 x (32 + 16); two tiles a block.
  EXPECT_EQ(block_bytes(small_options(1)), 2u * 64 * 4 * (3 * 32 * 2 + 48));
  EXPECT_EQ(budget_.used_bytes(), 4 * block_bytes(small_options(1)));
}

TEST_F(KvLine, LayersOfEqualLayoutAndWindowShareBlocks) {
  EXPECT_EQ(store_->groups(), 3u);
  EXPECT_EQ(store_->place(0).group, store_->place(3).group);
  EXPECT_NE(store_->place(0).group, store_->place(2).group);
  EXPECT_EQ(store_->place(kReader).group, store_->place(1).group);
  EXPECT_FALSE(store_->place(kReader).stores);
}

TEST_F(KvLine, WalkGivesTilesInOrderFromTheFirstThatHoldsTheToken) {
  Line line(*store_);
  ASSERT_TRUE(line.reserve(300).ok());
  for (std::size_t token = 0; token < 300; ++token)
    write(line, token, static_cast<int>(token % 251));
  line.commit(std::vector<TokenId>(300));
  for (const std::size_t token : {0u, 63u, 64u, 127u, 128u, 299u})
    EXPECT_EQ(read(line, token), static_cast<int>(token % 251));
  line.walk(0, 70, 300);
  std::size_t next = 64;  // tokens 64 to 319
  for (bool last = false; !last;) {
    const Result<TileRun> run = line.next_run();
    ASSERT_TRUE(run.ok());
    ASSERT_FALSE(run->tiles.empty());
    EXPECT_EQ(run->first_token, next);
    next += run->tiles.size() * kTileTokens;
    last = run->last;
  }
  EXPECT_EQ(next, 320u);
  EXPECT_TRUE(line.next_run()->tiles.empty());
}

TEST_F(KvLine, WalksOfTwoLinesDoNotDisturbEachOther) {
  Line a(*store_);
  Line b(*store_);
  write_and_commit(a, 100, 3);
  write_and_commit(b, 100, 4);
  a.walk(0, 0, 100);
  b.walk(0, 0, 100);
  const Result<TileRun> of_a = a.next_run();
  const Result<TileRun> of_b = b.next_run();
  EXPECT_EQ(static_cast<int>(of_a->tiles[1][0]), 3);
  EXPECT_EQ(static_cast<int>(of_b->tiles[1][0]), 4);
}

TEST_F(KvLine, FullStoreIsOutOfBudgetAndChangesNothing) {
  Line first(*store_);
  ASSERT_TRUE(first.reserve(3 * 128).ok());
  Line second(*store_);
  const Result<void> refused = second.reserve(2 * 128);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::out_of_budget);
  expect_free(1);
  EXPECT_TRUE(second.reserve(128).ok());
}

TEST_F(KvLine, ForkSharesFullBlocksAndCopiesTheTail) {
  Line parent(*store_);
  write_and_commit(parent, 200, 7);
  {
    Result<Line> forked = parent.fork(150);
    ASSERT_TRUE(forked.ok());
    Line child = std::move(forked).value();
    expect_free(1);  // one tail more, the full block is shared
    EXPECT_EQ(child.tokens(), 150u);
    write(child, 150, 9);
    EXPECT_EQ(read(parent, 150), 7);
    EXPECT_EQ(read(child, 150), 9);
    EXPECT_EQ(read(child, 149), 7);
  }
  expect_free(2);
}

TEST_F(KvLine, ForkOfAFullStoreIsOutOfBudget) {
  Line parent(*store_);
  write_and_commit(parent, 4 * 128, 7);
  EXPECT_EQ(parent.fork(100).error().kind, ErrorKind::out_of_budget);
  EXPECT_TRUE(parent.fork(128).ok());  // no tail to copy
}

TEST_F(KvLine, RewindForgetsExactlyAndGivesBlocksBack) {
  Line line(*store_);
  write_and_commit(line, 300, 7);
  expect_free(1);
  Result<std::size_t> left = line.rewind(129);
  ASSERT_TRUE(left.ok());
  EXPECT_EQ(*left, 129u);
  EXPECT_EQ(line.tokens(), 129u);
  expect_free(2);
  write_and_commit(line, 10, 9);
  EXPECT_EQ(read(line, 128), 7);
  EXPECT_EQ(read(line, 129), 9);
  EXPECT_EQ(*line.rewind(0), 0u);
  expect_free(4);
}

TEST_F(KvLine, RewindIntoASharedBlockCopiesIt) {
  Line parent(*store_);
  write_and_commit(parent, 128, 7);
  Result<Line> forked = parent.fork(128);
  ASSERT_TRUE(forked.ok());
  Line child = std::move(forked).value();
  expect_free(3);
  ASSERT_TRUE(child.rewind(100).ok());
  expect_free(2);
  write(child, 100, 9);
  EXPECT_EQ(read(parent, 100), 7);
}

TEST_F(KvLine, RestartCountsWhatIsGivenBack) {
  Line line(*store_);
  write_and_commit(line, 4 * 128, 7);
  expect_free(0);
  const Result<std::size_t> left = line.restart(130, 4 * 128);
  ASSERT_TRUE(left.ok());
  EXPECT_EQ(*left, 130u);
  EXPECT_EQ(line.tokens(), 130u);
  EXPECT_EQ(read(line, 129), 7);
  expect_free(0);
}

TEST_F(KvLine, RestartThatDoesNotFitChangesNothing) {
  Line other(*store_);
  write_and_commit(other, 128, 3);
  Line line(*store_);
  write_and_commit(line, 200, 7);
  const Result<std::size_t> refused = line.restart(100, 4 * 128);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::out_of_budget);
  EXPECT_EQ(line.tokens(), 200u);
  EXPECT_EQ(read(line, 199), 7);
  expect_free(1);
}

TEST_F(KvLine, BlocksThatComeBackAreZeroAgain) {
  {
    Line line(*store_);
    ASSERT_TRUE(line.reserve(4 * 128).ok());
    for (std::size_t token = 0; token < 4 * 128; ++token) write(line, token, 7);
  }
  Line next(*store_);
  ASSERT_TRUE(next.reserve(4 * 128).ok());
  for (std::size_t layer = 0; layer < kLayers; ++layer)
    for (std::size_t token = 0; token < 4 * 128; ++token) ASSERT_EQ(read(next, layer, token), 0);
}

TEST(KvStoreMake, UnknownStrategiesAndSmallBudgetsAreRefused) {
  memory::Budget budget(1000);
  Options unknown = small_options(1);
  unknown.strategy = "cold";
  EXPECT_EQ(Store::make(unknown, budget).error().kind, ErrorKind::unsupported);
  EXPECT_EQ(Store::make(small_options(1), budget).error().kind, ErrorKind::out_of_budget);
}

}  // namespace
}  // namespace ollm::kv
