// What rows see where the strategy quantizes: their own block as it is, and every block before as
// its int8 codes give it, whatever the chunk, the frames, the threads, what is stored and what ran
// before. The rule is written down a second time here: one row after the other through an exact
// store, in which each block is replaced, once it is full, by what plain loops make of it.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <utility>

#include "ollm/backend/reference/kv_codes.h"
#include "ollm/engine/tiny_engine.h"
#include "ollm/io/temporary_folder.h"
#include "ollm/kv/strategies.h"

namespace ollm::engine {
namespace {

using backend::ComputeMode;
using backend::kTileTokens;

constexpr std::size_t kTokens = 700;
constexpr std::size_t kBlock = 128;

// Full layers, windows shorter and longer than a block, one that reads the KV of another, sinks,
// and sizes that are padded.
std::vector<TinyLayer> layers() {
  std::vector<TinyLayer> out(5);
  out[1].window = 150;
  out[2].sinks = true;
  out[2].kv_heads = 1;
  out[2].value_dim = 8;
  out[3].kv_of_layer = 0;
  out[4].window = 40;
  return out;
}

void replace_block(kv::Line& line, const kv::Options& options, std::size_t first_token) {
  for (std::size_t layer = 0; layer < options.layers.size(); ++layer) {
    if (options.layers[layer].of_layer) continue;
    const backend::KvLayout& layout = options.layers[layer].layout;
    line.walk(layer, first_token, first_token + kBlock);
    const kv::TileRun run = line.next_run_in_memory();
    ASSERT_EQ(run.tiles.size(), kBlock / kTileTokens);
    for (const std::byte* tile : run.tiles) {
      const std::vector<std::byte> codes = backend::reference::encode(layout, tile);
      const std::vector<std::byte> seen = backend::reference::decode(layout, codes.data());
      std::copy(seen.begin(), seen.end(), const_cast<std::byte*>(tile));
    }
  }
}

// Logits of all rows by the rule.
std::vector<float> by_the_rule(const TinyModel& model, ComputeMode compute,
                               std::span<const TokenId> ids) {
  TinyOptions exact;
  exact.isa = backend::best_isa(compute);
  exact.compute = compute;
  exact.kv_block_tokens = kBlock;
  TinyEngine tiny(model, exact);
  kv::Line line = tiny.line(ids.size());
  std::vector<float> out;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const Work work{&line, ids.subspan(i, 1), 0};
    const auto append = [&](std::size_t, std::size_t, std::span<float> row) {
      out.insert(out.end(), row.begin(), row.end());
    };
    EXPECT_TRUE(sweep(tiny.engine(), {&work, 1}, append, tiny.never()).ok());
    if (line.tokens() % kBlock == 0)
      replace_block(line, tiny.store().options(), line.tokens() - kBlock);
  }
  return out;
}

class QuantizedKv : public ::testing::TestWithParam<ComputeMode> {
 protected:
  // Without a pool all is in memory.
  TinyOptions options(std::size_t max_rows, std::size_t frames, bool pool = true) const {
    TinyOptions out;
    out.isa = backend::best_isa(GetParam());
    out.compute = GetParam();
    out.max_rows = out.max_logit_rows = max_rows;
    out.kv_strategy = kv::kQuantizedColdTier;
    out.kv_block_tokens = kBlock;
    out.kv_frames = frames;
    out.kv_forgets = true;
    if (!pool) return out;
    out.kv_pool = kv::PoolOptions();
    out.kv_pool->folder = folder_.path() / "kv";
    out.kv_pool->stripe_part_bytes = 16 << 10;
    return out;
  }

  // Runs rows up to `tokens`, `chunk` of them a sweep, and holds each to the rule.
  void go_on(TinyEngine& tiny, kv::Line& line, std::size_t tokens, std::size_t chunk) {
    while (line.tokens() < tokens) {
      const std::size_t at = line.tokens();
      const std::span<const TokenId> now =
          std::span(ids_).subspan(at, std::min(chunk, tokens - at));
      const Work work{&line, now, 0};
      std::size_t wrong = 0;
      const Result<void> swept = sweep(
          tiny.engine(), {&work, 1},
          [&](std::size_t, std::size_t token, std::span<float> row) {
            wrong += is_by_the_rule(at + token, row) ? 0 : 1;
          },
          tiny.never());
      if (swept.ok()) {
        ASSERT_EQ(wrong, 0u) << "tokens " << at << " and on";
        continue;
      }
      ASSERT_TRUE(line.is_damaged()) << swept.error().message;
      line.mend();
    }
  }
  bool is_by_the_rule(std::size_t token, std::span<const float> row) const {
    return same_bits(row, std::span(rule_).subspan(token * TinyModel::kVocab, TinyModel::kVocab));
  }

  // The same of a line that begins with what is stored; how much that is.
  std::size_t restart(TinyEngine& tiny, kv::Line& line, std::size_t tokens, std::size_t chunk) {
    const Result<std::size_t> found = line.restart(0, tokens, std::span(ids_).first(tokens - 1));
    EXPECT_TRUE(found.ok());
    go_on(tiny, line, tokens, chunk);
    return *found;
  }
  void keep(TinyEngine& tiny, kv::Line& line) {
    line.keep();
    tiny.store().wait_for_commits();
  }

  void flip_bits_of_page(std::uint64_t page) const {
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path() / "kv")) {
      if (entry.file_size() < (page + 1) * 4096) continue;
      std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
      file.seekg(static_cast<std::streamoff>(page * 4096 + 100));
      const int byte = file.get();
      file.seekp(static_cast<std::streamoff>(page * 4096 + 100));
      file.put(static_cast<char>(byte ^ 4));
    }
  }

  const io::TemporaryFolder folder_;
  const TinyModel model_{layers()};
  const std::vector<TokenId> ids_ = random_ids(kTokens, 3);
  const std::vector<float> rule_ = by_the_rule(model_, GetParam(), ids_);
};

TEST_P(QuantizedKv, IsNotExact) {
  TinyOptions exact = options(200, 0, false);
  exact.kv_strategy.reset();
  TinyEngine tiny(model_, exact);
  const std::vector<float> logits = tiny.logits(ids_, 200);
  const std::size_t first_block = kBlock * TinyModel::kVocab;
  EXPECT_TRUE(same_bits(std::span(logits).first(first_block), std::span(rule_).first(first_block)));
  EXPECT_FALSE(is_by_the_rule(kBlock, std::span(logits).subspan(first_block, TinyModel::kVocab)));
}

TEST_P(QuantizedKv, RowsSeeWhatTheRuleSaysWhateverTheChunkTheFramesAndTheThreads) {
  for (const std::size_t chunk : {1u, 64u, 100u, 128u, 131u, 512u}) {
    for (const bool pool : {false, true}) {
      for (const std::size_t frames : {0u, 1000u}) {
        if (frames == 0 && !pool) continue;
        SCOPED_TRACE(fmt::format("chunk {}, {} frames, pool {}", chunk, frames, pool));
        const io::TemporaryFolder own;
        TinyOptions with = options(chunk, frames, pool);
        with.threads = chunk % 2 + 1;
        if (pool) with.kv_pool->folder = own.path() / "kv";
        TinyEngine tiny(model_, with);
        EXPECT_EQ(tiny.store().options().spills(), frames == 0);
        kv::Line line = tiny.line(kTokens);
        go_on(tiny, line, chunk == 1 ? 2 * kBlock + 5 : kTokens, chunk);
      }
    }
  }
}

TEST_P(QuantizedKv, WhatIsStoredIsFoundAsTheRuleHasIt) {
  for (const std::size_t frames : {0u, 1000u}) {
    const io::TemporaryFolder own;
    TinyOptions with = options(200, frames);
    with.kv_pool->folder = own.path() / "kv";
    {
      TinyEngine tiny(model_, with);
      kv::Line line(tiny.store());
      EXPECT_EQ(restart(tiny, line, 650, 200), 0u);
      keep(tiny, line);
    }
    TinyEngine again(model_, with);
    const auto found = [&](std::size_t tokens) {
      kv::Line line(again.store());
      return restart(again, line, tokens, 97);
    };
    EXPECT_EQ(found(650), 649u);  // the tail stands there as it was written
    EXPECT_EQ(found(645), 644u);
    EXPECT_EQ(found(641), 640u);
    EXPECT_EQ(found(640), 512u);  // a part of a full block is nowhere but as codes
    EXPECT_EQ(found(300), 256u);
    EXPECT_EQ(found(100), 0u);
    EXPECT_EQ(found(kTokens), 650u);
    EXPECT_GT(again.store().counters().bytes_read, 0u);
  }
}

// Of layers that forget those blocks are kept that a start where a block begins needs.
TEST_P(QuantizedKv, WhatEndsInsideOfABlockIsFoundUpToWhereThatBegins) {
  TinyOptions with = options(200, 1000);
  with.kv_entry_tokens = 4096;
  {
    TinyEngine tiny(model_, with);
    kv::Line line(tiny.store());
    ASSERT_TRUE(line.restart(0, 640).ok());
    line.add_entry(300);
    go_on(tiny, line, 640, 200);
    keep(tiny, line);
  }
  TinyEngine again(model_, with);
  const auto found = [&](std::size_t tokens) {
    kv::Line line(again.store());
    return restart(again, line, tokens, 97);
  };
  EXPECT_EQ(found(350), 256u);
  EXPECT_EQ(found(kTokens), 640u);
}

// The codes are a quarter of f32, half of bf16.
TEST_P(QuantizedKv, FullBlocksAreStoredAsCodes) {
  TinyEngine tiny(model_, options(200, 1000));
  kv::Line line = tiny.line(kTokens);
  go_on(tiny, line, 5 * kBlock, 200);
  keep(tiny, line);
  const kv::Options& kv = tiny.store().options();
  const std::uint64_t written = tiny.store().counters().bytes_written;
  EXPECT_GE(written, 5 * kv::stored_block_bytes(kv));
  EXPECT_LT(written, 5 * kv::stored_block_bytes(kv) + (std::uint64_t{64} << 10));
  EXPECT_LT(kv::stored_block_bytes(kv), kv::block_bytes(kv));
}

TEST_P(QuantizedKv, ARewindFindsTheLastBlockAsItWasWritten) {
  for (const bool pool : {false, true}) {
    TinyEngine tiny(model_, options(200, 0, pool));
    kv::Line line = tiny.line(kTokens);
    go_on(tiny, line, 650, 200);
    for (const std::size_t back : {650u - 64u, 649u, 640u, 639u}) {
      SCOPED_TRACE(back);
      ASSERT_EQ(*line.restart(back, kTokens), back);
      go_on(tiny, line, 650, 33);
    }
    // A rewind within a rewind, and across the border again.
    ASSERT_EQ(*line.restart(620, kTokens), 620u);
    ASSERT_EQ(*line.restart(600, kTokens), 600u);
    go_on(tiny, line, 639, 200);
    ASSERT_EQ(*line.restart(630, kTokens), 630u);
    go_on(tiny, line, kTokens, 200);
    // Further back is where a block begins; layers with a window have forgotten what is before.
    EXPECT_EQ(*line.restart(520, kTokens), 0u);
    go_on(tiny, line, 300, 200);
  }
}

TEST_P(QuantizedKv, WithoutWindowsARewindEndsWhereABlockBegins) {
  TinyOptions all = options(200, 0);
  all.kv_forgets = false;
  {
    TinyEngine tiny(model_, all);
    kv::Line line = tiny.line(kTokens);
    go_on(tiny, line, 650, 200);
    EXPECT_EQ(*line.restart(500, kTokens), 384u);
    go_on(tiny, line, 650, 200);
    keep(tiny, line);
  }
  // What was stored has no copy of its last full block.
  TinyEngine again(model_, all);
  kv::Line line(again.store());
  EXPECT_EQ(restart(again, line, 645, 200), 644u);
  EXPECT_EQ(*line.restart(641, kTokens), 641u);
  EXPECT_EQ(*line.restart(630, kTokens), 512u);
  go_on(again, line, kTokens, 200);
}

TEST_P(QuantizedKv, AForkGoesOnAsItsLine) {
  TinyOptions two = options(200, 0);
  two.kv_forgets = false;
  two.kv_lines = 2;
  two.kv_tokens = 2048;
  TinyEngine tiny(model_, two);
  kv::Line line = tiny.line(kTokens);
  go_on(tiny, line, 520, 200);
  for (const std::size_t tokens : {520u, 515u, 512u, 500u, 384u, 256u}) {
    SCOPED_TRACE(tokens);
    Result<kv::Line> fork = line.fork(tokens);
    ASSERT_TRUE(fork.ok()) << fork.error().message;
    ASSERT_TRUE(fork->reserve(kTokens).ok());
    go_on(tiny, *fork, 530, 200);
    // Back by a few, behind the border that it was forked at too.
    ASSERT_EQ(*fork->restart(508, kTokens), 508u);
    go_on(tiny, *fork, 530, 200);
  }
  EXPECT_EQ(line.fork(300).error().kind, ErrorKind::invalid_argument);
  go_on(tiny, line, kTokens, 200);
}

TEST_P(QuantizedKv, WhatIsDamagedIsComputedAgain) {
  {
    TinyEngine tiny(model_, options(200, 0));
    kv::Line line(tiny.store());
    restart(tiny, line, kTokens, 200);
    keep(tiny, line);
  }
  for (std::uint64_t page = 1; page < 40; page += 2) {
    flip_bits_of_page(page);
    for (const std::size_t frames : {0u, 1000u}) {
      TinyEngine again(model_, options(200, frames));
      kv::Line line(again.store());
      restart(again, line, kTokens, 200);
      keep(again, line);
    }
  }
}

// A sweep that fails has filled a block in some layers only; its tokens are run again.
TEST_P(QuantizedKv, ASweepThatFailedLeavesBlocksAsTheyWere) {
  {
    TinyEngine tiny(model_, options(200, 1000));
    kv::Line line(tiny.store());
    restart(tiny, line, 600, 200);
    keep(tiny, line);
  }
  TinyOptions two = options(200, 0);
  two.kv_lines = 2;
  two.kv_pool->index_bytes = 1 << 20;
  TinyEngine again(model_, two);
  kv::Line damaged(again.store());
  ASSERT_GT(*damaged.restart(0, 620, std::span(ids_).first(600)), 512u);
  for (std::uint64_t page = 1; page < 40; ++page) flip_bits_of_page(page);
  kv::Line other(again.store());
  ASSERT_TRUE(other.restart(0, kTokens).ok());
  go_on(again, other, 100, 100);
  const Work work[] = {{&other, std::span(ids_).subspan(100, 190), 0},
                       {&damaged, std::span(ids_).subspan(damaged.tokens(), 1), 0}};
  const Result<void> swept =
      sweep(again.engine(), work, [](std::size_t, std::size_t, std::span<float>) {}, again.never());
  ASSERT_FALSE(swept.ok());
  EXPECT_TRUE(damaged.is_damaged());
  EXPECT_FALSE(other.is_damaged());
  ASSERT_EQ(other.tokens(), 100u);
  go_on(again, other, kTokens, 190);
}

TEST_P(QuantizedKv, LinesOfOneSweepHaveTheBitsThatTheyHaveAlone) {
  for (const std::size_t frames : {0u, 1000u}) {
    TinyOptions three = options(400, frames);
    three.kv_pool->folder = folder_.path() / fmt::format("kv{}", frames);
    three.kv_lines = 3;
    three.kv_tokens = 3 * 1024;
    TinyEngine tiny(model_, three);
    std::vector<kv::Line> lines;
    for (int i = 0; i < 3; ++i) lines.push_back(tiny.line(kTokens));
    const std::size_t shares[] = {200, 64, 129};
    for (;;) {
      std::vector<Work> work;
      std::vector<std::size_t> begins;
      for (std::size_t i = 0; i < 3; ++i) {
        const std::size_t at = lines[i].tokens();
        if (at == kTokens) continue;
        work.push_back(
            {&lines[i], std::span(ids_).subspan(at, std::min(shares[i], kTokens - at)), 0});
        begins.push_back(at);
      }
      if (work.empty()) break;
      std::size_t wrong = 0;
      const Result<void> swept = sweep(
          tiny.engine(), work,
          [&](std::size_t item, std::size_t token, std::span<float> row) {
            wrong += is_by_the_rule(begins[item] + token, row) ? 0 : 1;
          },
          tiny.never());
      ASSERT_TRUE(swept.ok()) << swept.error().message;
      ASSERT_EQ(wrong, 0u);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, QuantizedKv, ::testing::Values(ComputeMode::f32, ComputeMode::bf16),
                         [](const auto& mode) { return std::string(to_string(mode.param)); });

}  // namespace
}  // namespace ollm::engine
