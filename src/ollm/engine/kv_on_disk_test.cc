// That a sweep cannot tell where keys and values were: in memory, on disk beyond what memory has
// room for, stored by an earlier run, damaged and computed again.
#include <gtest/gtest.h>

#include <utility>

#include "ollm/engine/stored_run.h"

namespace ollm::engine {
namespace {

// Full layers, a window, one that reads the KV of another, sinks, key and value sizes that are not
// whole pages.
std::vector<TinyLayer> layers() {
  std::vector<TinyLayer> out(5);
  out[1].window = 150;
  out[2].sinks = true;
  out[2].kv_heads = 1;
  out[2].value_dim = 8;
  out[3].kv_of_layer = 0;
  out[4].window = 150;
  return out;
}

class KvOnDisk : public StoredRun {
 protected:
  KvOnDisk() : StoredRun(layers()) {}
};

TEST_F(KvOnDisk, BlocksBeyondTheFramesComeFromDiskWithTheSameBits) {
  for (const bool kept : {true, false}) {
    for (const std::size_t chunk : {1u, 64u, 130u, 200u}) {
      const io::TemporaryFolder own;
      TinyOptions spilled = options(chunk, 0, kept);
      spilled.kv_pool->folder = own.path() / "kv";
      TinyEngine tiny(model_, spilled);
      ASSERT_TRUE(tiny.store().options().spills());
      const std::size_t tokens = chunk == 1 ? 560 : kTokens;
      std::size_t stored = 0;
      expect_tail_of_whole(go_on(tiny, tokens, chunk, &stored), tokens);
      EXPECT_EQ(stored, 0u);
      EXPECT_GT(tiny.store().counters().bytes_read, 0u) << chunk;
    }
  }
}

TEST_F(KvOnDisk, WhatAnEarlierRunStoredIsNotComputedAgain) {
  for (const std::size_t frames : {0u, 1000u}) {
    std::size_t stored = 0;
    {
      TinyEngine tiny(model_, options(200, frames));
      expect_tail_of_whole(go_on(tiny, 700, 200, &stored), 700);
    }
    TinyEngine again(model_, options(64, frames));
    expect_tail_of_whole(go_on(again, 700, 64, &stored), 700);
    EXPECT_EQ(stored, 699u);  // the tail was stored too; the last token always runs
    expect_tail_of_whole(go_on(again, kTokens, 64, &stored), kTokens);
    EXPECT_EQ(stored, frames == 0 ? 700u : 899u);
    EXPECT_GT(again.store().counters().bytes_read, 0u);
  }
}

TEST_F(KvOnDisk, APrefixOfABlockIsCopied) {
  std::size_t stored = 0;
  {
    TinyEngine tiny(model_, options(200, 0));
    expect_tail_of_whole(go_on(tiny, 700, 200, &stored), 700);
  }
  TinyEngine again(model_, options(64, 0));
  for (const std::size_t tokens : {10u, 129u, 300u, 641u}) {
    expect_tail_of_whole(go_on(again, tokens, 64, &stored), tokens);
    EXPECT_EQ(stored, tokens - 1);
  }
}

TEST_F(KvOnDisk, WhatIsDamagedIsComputedAgain) {
  std::size_t stored = 0;
  {
    TinyEngine tiny(model_, options(200, 0));
    expect_tail_of_whole(go_on(tiny, kTokens, 200, &stored), kTokens);
  }
  for (std::uint64_t page = 1; page < 60; page += 2) {
    flip_a_bit(page);
    for (const std::size_t frames : {0u, 1000u}) {
      TinyEngine again(model_, options(200, frames));
      expect_tail_of_whole(go_on(again, kTokens, 200, &stored), kTokens);
    }
  }
}

TEST_F(KvOnDisk, WhatLiesOutsideTheWindowsIsForgottenWithTheSameBits) {
  for (const std::size_t chunk : {1u, 64u, 130u}) {
    TinyOptions lean = options(chunk, 0);
    lean.kv_pool.reset();
    TinyEngine tiny(model_, lean);
    std::size_t stored = 0;
    expect_tail_of_whole(go_on(tiny, kTokens, chunk, &stored), kTokens);
    const kv::Options& kv = tiny.store().options();
    EXPECT_LT(kv::frames_bytes(kv), kv::block_bytes(kv) * kv.max_blocks);

    // Back by what may be taken back exactly, and by more, which begins anew.
    kv::Line line = tiny.line(kTokens);
    ASSERT_TRUE(extend(
                    tiny.engine(), line, std::span(ids_).first(700), nullptr,
                    [](std::span<float>) {}, tiny.never())
                    .ok());
    for (const std::size_t back : {700 - kv::kRewindTokens, std::size_t{400}}) {
      const Result<std::size_t> left = line.restart(back, kTokens);
      ASSERT_TRUE(left.ok());
      EXPECT_EQ(*left, back == 400 ? 0u : back);
      std::vector<float> last;
      ASSERT_TRUE(extend(
                      tiny.engine(), line, std::span(ids_).first(700).subspan(*left), nullptr,
                      [&](std::span<float> row) { last.assign(row.begin(), row.end()); },
                      tiny.never())
                      .ok());
      expect_tail_of_whole(last, 700);
    }
  }
}

// What was read ahead would else come into frames that other blocks have by then.
TEST_F(KvOnDisk, NothingIsReadBehindASweepThatFailed) {
  std::size_t stored = 0;
  {
    TinyEngine tiny(model_, options(200, 0));
    expect_tail_of_whole(go_on(tiny, kTokens, 200, &stored), kTokens);
  }
  flip_a_bit(2);  // of the first block
  TinyEngine again(model_, options(200, 1000));
  kv::Line line(again.store());
  const Result<std::size_t> found = line.restart(0, kTokens, std::span(ids_).first(kTokens - 1));
  ASSERT_TRUE(found.ok());
  ASSERT_GT(*found, 0u);
  const Work work{&line, std::span(ids_).subspan(*found, 1), 0};
  const Result<void> swept = sweep(
      again.engine(), {&work, 1}, [](std::size_t, std::size_t, std::span<float>) {}, again.never());
  EXPECT_FALSE(swept.ok());
  EXPECT_TRUE(line.is_damaged());
  EXPECT_FALSE(again.store().sweep_reads()->reading());
}

TEST_F(KvOnDisk, LinesOfOneSweepComeFromDiskTogether) {
  TinyOptions three = options(200, 0);
  three.kv_lines = 3;
  three.kv_tokens = 3 * 1024;
  TinyEngine tiny(model_, three);
  std::vector<kv::Line> lines;
  for (int i = 0; i < 3; ++i) lines.push_back(tiny.line(kTokens));
  std::vector<std::vector<float>> logits(3);
  const std::size_t shares[] = {90, 64, 17};
  for (;;) {
    std::vector<Work> work;
    std::vector<std::size_t> of;
    for (std::size_t i = 0; i < 3; ++i) {
      const std::size_t at = lines[i].tokens();
      if (at == kTokens) continue;
      work.push_back(
          {&lines[i], std::span(ids_).subspan(at, std::min(shares[i], kTokens - at)), 0});
      of.push_back(i);
    }
    if (work.empty()) break;
    const Result<void> swept = sweep(
        tiny.engine(), work,
        [&](std::size_t item, std::size_t, std::span<float> row) {
          logits[of[item]].insert(logits[of[item]].end(), row.begin(), row.end());
        },
        tiny.never());
    ASSERT_TRUE(swept.ok()) << swept.error().message;
  }
  for (const std::vector<float>& one : logits) expect_tail_of_whole(one, kTokens);
}

}  // namespace
}  // namespace ollm::engine
