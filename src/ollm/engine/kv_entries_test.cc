// Where lines of models with windows start again: at entries, of which alone the windows are kept.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <map>
#include <set>
#include <utility>

#include "ollm/engine/stored_run.h"

namespace ollm::engine {
namespace {

constexpr std::size_t kBlockTokens = 64;

std::vector<TinyLayer> windows(const std::vector<std::size_t>& sizes) {
  std::vector<TinyLayer> out(sizes.size());
  for (std::size_t i = 0; i < sizes.size(); ++i) out[i].window = sizes[i];
  return out;
}

class KvEntries : public StoredRun {
 protected:
  explicit KvEntries(const std::vector<std::size_t>& sizes = {0, 100, 40, 100})
      : StoredRun(windows(sizes)), sizes_(sizes) {
    entry_tokens_ = 256;
    entries_ = {600};
  }

  TinyOptions options(std::size_t max_rows, std::size_t frames, bool kept = true) const {
    TinyOptions out = StoredRun::options(max_rows, frames, kept);
    out.kv_block_tokens = kBlockTokens;
    return out;
  }

  // The deepest position, no further than `most`, before which the blocks that are kept for these
  // entries are all that the layers see.
  std::size_t deepest(std::size_t most, std::size_t stored) const {
    std::set<std::size_t> entries = {600, stored, stored - 1};
    for (std::size_t at = entry_tokens_; at <= stored + entry_tokens_; at += entry_tokens_)
      entries.insert(at);
    std::map<std::size_t, std::set<std::size_t>> kept;  // blocks, by window
    for (const std::size_t window : sizes_)
      for (const std::size_t entry : entries)
        for (std::size_t token = kv::first_seen(window, entry); token < std::min(entry, stored);
             ++token)
          kept[window].insert(token / kBlockTokens);
    for (; most > 0; --most) {
      bool all = true;
      for (const auto& [window, blocks] : kept)
        for (std::size_t token = kv::first_seen(window, most); token < most; ++token)
          all = all && blocks.contains(token / kBlockTokens);
      if (all) return most;
    }
    return 0;
  }

  // What is stored, to begin with it again and again.
  void put_aside() const {
    std::filesystem::remove_all(aside());
    std::filesystem::copy(kv_folder(), aside());
  }
  void put_back() const {
    std::filesystem::remove_all(kv_folder());
    std::filesystem::copy(aside(), kv_folder());
  }
  std::filesystem::path kv_folder() const { return folder_.path() / "kv"; }
  std::filesystem::path aside() const { return folder_.path() / "aside"; }

  std::uint64_t bytes_of_files() const {
    std::uint64_t bytes = 0;
    for (const auto& entry : std::filesystem::directory_iterator(kv_folder())) {
      struct stat status{};
      if (::stat(entry.path().c_str(), &status) == 0)
        bytes += static_cast<std::uint64_t>(status.st_blocks) * 512;
    }
    return bytes;
  }

  const std::vector<std::size_t> sizes_;
};

class KvEntriesOfWindowsAlone : public KvEntries {
 protected:
  KvEntriesOfWindowsAlone() : KvEntries({100, 40}) {}
};

TEST_F(KvEntries, LinesStartAtTheDeepest) {
  for (const std::size_t frames : {0u, 1000u}) {
    std::filesystem::remove_all(kv_folder());
    std::size_t stored = 0;
    {
      TinyEngine tiny(model_, options(200, frames));
      expect_tail_of_whole(go_on(tiny, 850, 200, &stored), 850);
    }
    put_aside();
    entries_.clear();
    for (const std::size_t tokens :
         {850u, 851u, 601u, 600u, 257u, 513u, 560u, 400u, 769u, 800u, 700u, 90u}) {
      put_back();
      TinyEngine again(model_, options(200, frames));
      expect_tail_of_whole(go_on(again, tokens, 200, &stored), tokens);
      EXPECT_EQ(stored, deepest(std::min<std::size_t>(tokens - 1, 850), 850)) << tokens;
    }
    entries_ = {600};
  }
}

TEST_F(KvEntriesOfWindowsAlone, LinesStartAtTheDeepest) {
  std::size_t stored = 0;
  {
    TinyEngine tiny(model_, options(130, 1000));
    expect_tail_of_whole(go_on(tiny, kTokens, 130, &stored), kTokens);
  }
  put_aside();
  for (const std::size_t tokens : {257u, 601u, 650u, 769u, 700u}) {
    put_back();
    TinyEngine again(model_, options(64, 1000));
    expect_tail_of_whole(go_on(again, tokens, 64, &stored), tokens);
    EXPECT_EQ(stored, deepest(tokens - 1, kTokens)) << tokens;
  }
}

TEST_F(KvEntriesOfWindowsAlone, WhatNoEntryNeedsIsNotOnDisk) {
  entries_.clear();
  entry_tokens_ = 400;
  std::size_t stored = 0;
  TinyEngine tiny(model_, options(100, 1000));
  expect_tail_of_whole(go_on(tiny, kTokens, 100, &stored), kTokens);
  const kv::Options& kv = tiny.store().options();
  // Two multiples and the end, of each at most as many blocks as a window lies in.
  std::uint64_t most = 0;
  for (const kv::LayerOptions& layer : kv.layers)
    most += 3 * (kv::blocks_for_tokens(kv, layer.window) + 1) * kv::part_bytes(kv, layer);
  const std::uint64_t all = kv::block_bytes(kv) * kv::blocks_for_tokens(kv, kTokens);
  ASSERT_LT(most, all * 2 / 3);
  EXPECT_LE(bytes_of_files(), most + (std::uint64_t{64} << 10));  // and headers, records, notes
}

// What has no room in memory is written whatever becomes of it, and gives its place back.
TEST_F(KvEntriesOfWindowsAlone, WhatIsOnDiskForLackOfMemoryIsNotKept) {
  entries_.clear();
  entry_tokens_ = 100000;
  std::size_t stored = 0;
  {
    TinyEngine tiny(model_, options(32, 0));
    ASSERT_TRUE(tiny.store().options().spills());
    expect_tail_of_whole(go_on(tiny, kTokens, 32, &stored), kTokens);
  }
  TinyEngine again(model_, options(200, 1000));
  expect_tail_of_whole(go_on(again, 700, 200, &stored), 700);
  EXPECT_EQ(stored, 0u);
  expect_tail_of_whole(go_on(again, kTokens, 200, &stored), kTokens);
  EXPECT_EQ(stored, kTokens - 1);
}

TEST_F(KvEntries, WhatIsDamagedLeavesAShallowerOne) {
  std::size_t stored = 0;
  {
    TinyEngine tiny(model_, options(200, 1000));
    expect_tail_of_whole(go_on(tiny, kTokens, 200, &stored), kTokens);
  }
  put_aside();
  std::set<std::size_t> starts;
  for (std::uint64_t page = 1; page < 200; page += 3) {
    put_back();
    flip_a_bit(page);
    TinyEngine again(model_, options(200, page % 2 == 0 ? 0 : 1000));
    expect_tail_of_whole(go_on(again, kTokens, 200, &stored), kTokens);
    starts.insert(stored);
  }
  EXPECT_GT(starts.size(), 2u);
}

// A line that was started at an entry goes on, is rewound, and is put back by what it holds itself.
TEST_F(KvEntries, LinesThatStartedThereGoOnAsAnyOther) {
  std::size_t stored = 0;
  {
    TinyEngine tiny(model_, options(200, 1000));
    expect_tail_of_whole(go_on(tiny, 700, 200, &stored), 700);
  }
  TinyEngine again(model_, options(200, 1000));
  kv::Line line(again.store());
  const std::span<const TokenId> ids(ids_);
  ASSERT_EQ(*line.restart(0, kTokens, ids.first(kTokens - 1)), 700u);
  const auto run_to = [&](std::size_t end) {
    std::vector<float> last;
    const Result<void> done = extend(
        again.engine(), line, ids.first(end).subspan(line.tokens()), nullptr,
        [&](std::span<float> row) { last.assign(row.begin(), row.end()); }, again.never());
    ASSERT_TRUE(done.ok()) << done.error().message;
    expect_tail_of_whole(last, end);
  };
  run_to(800);
  for (const std::size_t back : {1u, 37u, 64u}) {
    ASSERT_EQ(*line.rewind(800 - back), 800 - back);
    ASSERT_TRUE(line.reserve(kTokens).ok());
    run_to(800);
  }
  // Further back than what it holds: what is stored.
  ASSERT_EQ(*line.restart(610, kTokens, ids.first(610)), 610u);
  run_to(800);
  ASSERT_EQ(*line.restart(300, kTokens, ids.first(300)), 256u);
  run_to(800);
}

}  // namespace
}  // namespace ollm::engine
