// Lines of a store that has fewer frames than blocks.
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <utility>

#include "ollm/io/read_queue.h"
#include "ollm/io/temporary_folder.h"
#include "ollm/kv/line.h"
#include "ollm/kv/sweep_reads.h"

namespace ollm::kv {
namespace {

using backend::kTileTokens;

constexpr std::size_t kLayers = 3;

class SpilledLine : public ::testing::Test {
 protected:
  void SetUp() override {
    Options options;
    for (std::size_t i = 0; i < kLayers; ++i)
      options.layers.push_back({{1, 8, 8, backend::ComputeMode::f32}, 0, {}});
    options.strategy = "paged";
    options.block_tokens = 2 * kTileTokens;
    options.max_blocks = 10;
    options.frames = options.tail_frames = 3;
    options.ring_slots = 2;
    options.slot_bytes = part_bytes(options, options.layers.front());
    options.pool = PoolOptions();
    options.pool->folder = folder_.path() / "kv";
    options.pool->cap_bytes = std::uint64_t{1} << 30;
    options.pool->free_share = 0;
    auto pool = Pool::open(*options.pool, io::posix());
    ASSERT_TRUE(pool.ok()) << pool.error().message;
    pool_ = std::move(pool).value();
    auto made = Store::make(options, budget_, {pool_.get(), &reads_});
    ASSERT_TRUE(made.ok()) << made.error().message;
    store_ = std::move(made).value();
    ASSERT_TRUE(store_->set_fingerprint(sha256("model")).ok());
  }

  static std::byte mark(std::size_t layer, std::size_t token, int line) {
    return static_cast<std::byte>(1 +
                                  (layer * 31 + token * 7 + static_cast<std::size_t>(line)) % 250);
  }

  void write(Line& line, std::size_t tokens, int mark_of) {
    ASSERT_TRUE(line.reserve(line.tokens() + tokens).ok());
    for (; tokens > 0; --tokens) {
      ASSERT_TRUE(line.prepare(1).ok());
      const std::size_t token = line.tokens();
      for (std::size_t layer = 0; layer < kLayers; ++layer)
        line.tile_for_write(layer, token)[token % kTileTokens] = mark(layer, token, mark_of);
      const TokenId id = mark_of;
      line.commit({&id, 1});
    }
  }

  // The marks of tokens [0, end) of a line, as one more row of it would see them.
  void expect_marks(Line& line, std::size_t end, int mark_of) {
    ASSERT_TRUE(line.reserve(line.tokens() + 1).ok());
    ASSERT_TRUE(line.prepare(1).ok());
    const SweepLine swept{&line, 1};
    store_->sweep_reads()->begin({&swept, 1});
    for (std::size_t layer = 0; layer < kLayers; ++layer) {
      std::size_t token = 0;
      line.walk(layer, 0, end);
      while (!line.walked()) {
        const Result<TileRun> run = line.next_run();
        ASSERT_TRUE(run.ok()) << run.error().message;
        for (const std::byte* tile : run->tiles)
          for (std::size_t i = 0; i < kTileTokens && token < end; ++i, ++token)
            ASSERT_EQ(tile[i], mark(layer, token, mark_of)) << "layer " << layer << " " << token;
      }
      ASSERT_EQ(token, end);
    }
    store_->sweep_reads()->end();
  }

  const io::TemporaryFolder folder_;
  memory::Budget budget_{std::uint64_t{64} << 20};
  io::ReadQueue reads_{io::ReadMethod::threads};
  std::unique_ptr<Pool> pool_;
  std::unique_ptr<Store> store_;
};

TEST_F(SpilledLine, BlocksComeFromDiskAsTheyWereWritten) {
  Line line(*store_);
  write(line, 900, 5);
  expect_marks(line, 900, 5);
}

// The copy's frame may be the one in which the block was.
TEST_F(SpilledLine, ATailIsCopiedWhereverItIs) {
  Line parent(*store_);
  write(parent, 300, 5);
  Line other(*store_);
  write(other, 10, 6);
  for (const std::size_t tokens : {70u, 130u, 200u, 290u}) {
    Result<Line> child = parent.fork(tokens);
    ASSERT_TRUE(child.ok()) << child.error().message;
    expect_marks(*child, tokens, 5);
  }
  Result<Line> shared = parent.fork(256);
  ASSERT_TRUE(shared.ok());
  for (const std::size_t tokens : {250u, 200u, 129u, 100u, 3u}) {
    ASSERT_EQ(*shared->rewind(tokens), tokens);
    expect_marks(*shared, tokens, 5);
  }
  expect_marks(parent, 300, 5);
  expect_marks(other, 10, 6);
}

// A partial block is shorter on disk than a frame, which others used before.
TEST_F(SpilledLine, WhatAStoredTailDoesNotReachIsZero) {
  constexpr std::size_t kStored = 30;
  const std::vector<TokenId> ids(kStored, 7);
  {
    Line line(*store_);
    write(line, kStored, 7);
    line.keep();
    store_->wait_for_commits();
  }
  {
    Line others(*store_);
    write(others, 5 * 128, 9);
  }
  Line line(*store_);
  ASSERT_EQ(*line.restart(0, 128, ids), kStored);
  for (std::size_t layer = 0; layer < kLayers; ++layer)
    for (std::size_t token = kStored; token < 128; ++token)
      ASSERT_EQ(line.tile_for_write(layer, token)[token % kTileTokens], std::byte{0});
  expect_marks(line, kStored, 7);
}

TEST_F(SpilledLine, ADamagedBlockIsCountedOnce) {
  Line line(*store_);
  write(line, 5 * 128, 5);
  store_->wait_for_commits();
  store_->damaged(line.block(0, 1));
  EXPECT_EQ(store_->counters().corrupt_blocks, 1u);
}

}  // namespace
}  // namespace ollm::kv
