#include "ollm/kv/store.h"

#include <gtest/gtest.h>

#include <cstring>

namespace ollm::kv {
namespace {

using backend::ComputeMode;
using backend::kTileTokens;
using backend::KvLayout;

Options small_options(std::size_t max_blocks) {
  Options options;
  options.layers = {KvLayout{2, 16, 16, ComputeMode::f32}, KvLayout{1, 32, 16, ComputeMode::f32}};
  options.block_tokens = 2 * kTileTokens;
  options.max_blocks = max_blocks;
  return options;
}

class KvStore : public ::testing::Test {
 protected:
  void SetUp() override {
    Result<std::unique_ptr<Store>> made = Store::make(small_options(4), budget_);
    ASSERT_TRUE(made.ok());
    store_ = std::move(made).value();
  }

  // Marks the token in every layer's tile, at a place of its slot.
  void write(Sequence& sequence, std::size_t token, int mark) {
    for (std::size_t layer = 0; layer < 2; ++layer)
      sequence.tile_for_write(layer, token)[token % kTileTokens] = static_cast<std::byte>(mark);
  }

  int read(Sequence& sequence, std::size_t layer, std::size_t token) {
    sequence.walk(layer, token, token + 1);
    const Result<TileRun> run = sequence.next_run();
    EXPECT_TRUE(run.ok());
    EXPECT_EQ(run->tiles.size(), 1u);
    EXPECT_EQ(run->first_token, token / kTileTokens * kTileTokens);
    return static_cast<int>(run->tiles[0][token % kTileTokens]);
  }

  memory::Budget budget_{std::uint64_t{64} << 20};
  std::unique_ptr<Store> store_;
};

TEST_F(KvStore, BytesOfABlockAreTilesOfAllLayers) {
  // 64 tokens x (16 + 16) floats x 2 heads, and 64 x (32 + 16) floats; two tiles a block.
  EXPECT_EQ(block_bytes(small_options(1)), 2u * 64 * 4 * (32 * 2 + 48));
  EXPECT_EQ(budget_.used_bytes(), 4 * block_bytes(small_options(1)));
}

TEST_F(KvStore, WalkGivesTilesInOrderFromTheFirstThatHoldsTheToken) {
  Sequence sequence(*store_);
  ASSERT_TRUE(sequence.reserve(300).ok());
  for (std::size_t token = 0; token < 300; ++token)
    write(sequence, token, static_cast<int>(token % 251));
  sequence.commit(300);
  for (const std::size_t token : {0u, 63u, 64u, 127u, 128u, 299u}) {
    EXPECT_EQ(read(sequence, 0, token), static_cast<int>(token % 251));
    EXPECT_EQ(read(sequence, 1, token), static_cast<int>(token % 251));
  }
  sequence.walk(0, 70, 300);
  std::size_t next = 64;  // tokens 64 to 319
  for (bool last = false; !last;) {
    const Result<TileRun> run = sequence.next_run();
    ASSERT_TRUE(run.ok());
    ASSERT_FALSE(run->tiles.empty());
    EXPECT_EQ(run->first_token, next);
    next += run->tiles.size() * kTileTokens;
    last = run->last;
  }
  EXPECT_EQ(next, 320u);
  EXPECT_TRUE(sequence.next_run()->tiles.empty());
}

TEST_F(KvStore, FullStoreIsOutOfBudgetAndChangesNothing) {
  Sequence first(*store_);
  ASSERT_TRUE(first.reserve(3 * 128).ok());
  Sequence second(*store_);
  const Result<void> refused = second.reserve(2 * 128);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::out_of_budget);
  EXPECT_EQ(store_->free_blocks(), 1u);
  EXPECT_TRUE(second.reserve(128).ok());
}

TEST_F(KvStore, ForkSharesFullBlocksAndCopiesTheTail) {
  Sequence parent(*store_);
  ASSERT_TRUE(parent.reserve(200).ok());
  for (std::size_t token = 0; token < 200; ++token) write(parent, token, 7);
  parent.commit(200);
  {
    Result<Sequence> forked = parent.fork(150);
    ASSERT_TRUE(forked.ok());
    Sequence child = std::move(forked).value();
    EXPECT_EQ(store_->free_blocks(), 1u);  // one tail more, the full block is shared
    EXPECT_EQ(child.tokens(), 150u);
    write(child, 150, 9);
    EXPECT_EQ(read(parent, 0, 150), 7);
    EXPECT_EQ(read(child, 0, 150), 9);
    EXPECT_EQ(read(child, 1, 149), 7);
  }
  EXPECT_EQ(store_->free_blocks(), 2u);
}

TEST_F(KvStore, TruncateIntoASharedBlockCopiesIt) {
  Sequence parent(*store_);
  ASSERT_TRUE(parent.reserve(128).ok());
  for (std::size_t token = 0; token < 128; ++token) write(parent, token, 7);
  parent.commit(128);
  Result<Sequence> forked = parent.fork(128);
  ASSERT_TRUE(forked.ok());
  Sequence child = std::move(forked).value();
  EXPECT_EQ(store_->free_blocks(), 3u);
  ASSERT_TRUE(child.truncate(100).ok());
  EXPECT_EQ(store_->free_blocks(), 2u);
  write(child, 100, 9);
  EXPECT_EQ(read(parent, 0, 100), 7);
}

TEST_F(KvStore, BlocksThatComeBackAreZeroAgain) {
  {
    Sequence sequence(*store_);
    ASSERT_TRUE(sequence.reserve(4 * 128).ok());
    for (std::size_t token = 0; token < 4 * 128; ++token) write(sequence, token, 7);
  }
  Sequence next(*store_);
  ASSERT_TRUE(next.reserve(4 * 128).ok());
  for (std::size_t token = 0; token < 4 * 128; ++token) ASSERT_EQ(read(next, 1, token), 0);
}

TEST(KvStoreMake, UnbuiltStrategiesAndSmallBudgetsAreRefused) {
  memory::Budget budget(1000);
  Options paged = small_options(1);
  paged.strategy = "paged";
  EXPECT_EQ(Store::make(paged, budget).error().kind, ErrorKind::unsupported);
  EXPECT_EQ(Store::make(small_options(1), budget).error().kind, ErrorKind::out_of_budget);
}

}  // namespace
}  // namespace ollm::kv
