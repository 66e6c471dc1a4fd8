// Lines with recurrent layers, by a model that is no more than what a line has to hold: its layers
// keep bytes that are known from the tokens, and what they make of them is compared with what comes
// out of all tokens at once.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <utility>

#include "ollm/io/read_queue.h"
#include "ollm/io/temporary_folder.h"
#include "ollm/kv/line.h"
#include "ollm/kv/stored_lines.h"
#include "ollm/kv/sweep_reads.h"

namespace ollm::kv {
namespace {

using backend::kTileTokens;
using Ids = std::vector<TokenId>;
using Outputs = std::vector<std::uint64_t>;

constexpr std::size_t kWindow = 100;
constexpr std::size_t kWindowed = 1;  // a layer; 0 sees all tokens
constexpr std::array<std::size_t, 2> kRecurrent = {2, 4};
constexpr std::size_t kTokens = 700;

using State = std::array<std::uint64_t, 3>;

std::uint64_t mixed(std::uint64_t a, std::uint64_t b) {
  a = (a ^ (b + 0x9e3779b97f4a7c15)) * 0xbf58476d1ce4e5b9;
  return a ^ (a >> 29);
}

std::byte mark(TokenId id) { return static_cast<std::byte>(1 + id % 250); }

// What is kept of a row, and what comes of a chunk's state and its rows so far.
std::uint64_t row_of(TokenId id, std::size_t layer) {
  return mixed(static_cast<std::uint64_t>(id), layer);
}
std::uint64_t seen_in_chunk(const State& state, std::span<const std::uint64_t> rows) {
  std::uint64_t out = mixed(mixed(state[0], state[1]), state[2]);
  for (const std::uint64_t row : rows) out = mixed(out, row);
  return out;
}
State behind_chunk(State state, std::span<const std::uint64_t> rows) {
  for (std::size_t i = 0; i < rows.size(); ++i) state[i % 3] = mixed(state[i % 3], rows[i]);
  return state;
}

// Of each token, as one pass over all of them makes it.
Outputs reference(std::span<const TokenId> ids) {
  Outputs out;
  std::array<State, 2> states{};
  std::array<std::vector<std::uint64_t>, 2> rows;
  for (std::size_t token = 0; token < ids.size(); ++token) {
    std::uint64_t made = 0;
    for (const std::size_t window : {std::size_t{0}, kWindow})
      for (std::size_t seen = first_seen(window, token); seen <= token; ++seen)
        made = mixed(made, static_cast<std::uint64_t>(mark(ids[seen])));
    for (std::size_t i = 0; i < 2; ++i) {
      rows[i].push_back(row_of(ids[token], kRecurrent[i]));
      made = mixed(made, seen_in_chunk(states[i], rows[i]));
      if (rows[i].size() < kChunkTokens) continue;
      states[i] = behind_chunk(states[i], rows[i]);
      rows[i].clear();
    }
    out.push_back(made);
  }
  return out;
}

struct Way {
  std::size_t rows = 100;  // of a sweep
  std::size_t lines = 1;
  std::size_t entry_tokens = 64;
  bool pool = true;
  bool spills = false;
};

class RecurrentLine : public ::testing::Test {
 protected:
  Options options(const Way& way) const {
    Options out;
    const backend::KvLayout layout = {1, 8, 8, backend::ComputeMode::f32};
    const RecurrentLayout recurrent = {.state_bytes = sizeof(State),
                                       .row_bytes = sizeof(std::uint64_t)};
    out.layers = {{layout, 0, {}},
                  {layout, kWindow, {}},
                  {{}, 0, {}, recurrent},
                  {layout, 0, 0},
                  {{}, 0, {}, recurrent}};
    out.block_tokens = 128;
    out.max_blocks = 8 * way.lines;
    out.lines = way.lines;
    out.sweep_rows = way.rows;
    out.entry_tokens = way.entry_tokens;
    out.frames = out.max_blocks;
    if (!way.pool) return out;
    out.strategy = "paged";
    out.tail_frames = least_frames(out, way.rows, way.lines);
    if (way.spills) {
      out.frames = out.tail_frames;
      out.ring_slots = 2;
      out.slot_bytes = part_bytes(out, out.layers.front());
    }
    out.pool = PoolOptions();
    out.pool->folder = folder_.path() / "kv";
    out.pool->cap_bytes = std::uint64_t{1} << 30;
    out.pool->free_share = 0;
    return out;
  }

  // A store over what is in the folder.
  void open(const Way& way) {
    store_.reset();
    pool_.reset();
    const Options with = options(way);
    Store::Disk disk;
    if (with.pool) {
      auto pool = Pool::open(*with.pool, io::posix());
      ASSERT_TRUE(pool.ok()) << pool.error().message;
      pool_ = std::move(pool).value();
      disk = {pool_.get(), &reads_};
    }
    auto made = Store::make(with, budget_, disk);
    ASSERT_TRUE(made.ok()) << made.error().message;
    store_ = std::move(made).value();
    if (with.pool) {
      ASSERT_TRUE(store_->set_fingerprint(sha256("model")).ok());
    }
  }

  struct Work {
    Line* line = nullptr;
    std::span<const TokenId> ids;  // its next
  };

  // One sweep over the rows of all lines: what comes of each, or nothing where a line met a block
  // that is damaged. Without `commits` it is as if it had failed at its end.
  std::optional<std::vector<Outputs>> sweep(std::span<const Work> work, bool commits = true) {
    std::vector<SweepLine> lines;
    for (const Work& item : work) {
      const Result<void> prepared = item.line->prepare(item.ids.size());
      EXPECT_TRUE(prepared.ok()) << prepared.error().message;
      lines.push_back({item.line, item.ids.size()});
    }
    if (store_->sweep_reads() != nullptr) store_->sweep_reads()->begin(lines);
    std::vector<Outputs> out;
    for (const Work& item : work) out.emplace_back(item.ids.size());
    bool whole = true;
    for (std::size_t layer = 0; layer < store_->options().layers.size() && whole; ++layer) {
      for (std::size_t i = 0; i < work.size() && whole; ++i) {
        const bool recurs = std::count(kRecurrent.begin(), kRecurrent.end(), layer) > 0;
        // Layer 3 reads what layer 0 stores, and adds nothing here.
        whole = recurs ? recur(work[i], layer, out[i]) : attend(work[i], layer, out[i]);
      }
    }
    if (store_->sweep_reads() != nullptr) store_->sweep_reads()->end();
    if (!whole) return std::nullopt;
    for (const Work& item : work)
      if (commits) item.line->commit(item.ids);
    return out;
  }

  bool attend(const Work& work, std::size_t layer, Outputs& out) {
    Line& line = *work.line;
    const std::size_t first = line.tokens();
    const std::size_t window = layer == kWindowed ? kWindow : 0;
    for (std::size_t i = 0; i < work.ids.size() && store_->place(layer).stores; ++i)
      line.tile_for_write(layer, first + i)[(first + i) % kTileTokens] = mark(work.ids[i]);
    const std::size_t begin = first_seen(window, first);
    const std::size_t end = first + work.ids.size();
    std::vector<std::byte> seen(end - begin);
    line.walk(layer, begin, end);
    while (!line.walked()) {
      const Result<TileRun> run = line.next_run();
      if (!run.ok()) return false;
      for (std::size_t tile = 0; tile < run->tiles.size(); ++tile)
        for (std::size_t slot = 0; slot < kTileTokens; ++slot) {
          const std::size_t token = run->first_token + tile * kTileTokens + slot;
          if (token >= begin && token < end) seen[token - begin] = run->tiles[tile][slot];
        }
    }
    if (!store_->place(layer).stores) return true;
    for (std::size_t i = 0; i < work.ids.size(); ++i)
      for (std::size_t token = first_seen(window, first + i); token <= first + i; ++token)
        out[i] = mixed(out[i], static_cast<std::uint64_t>(seen[token - begin]));
    return true;
  }

  // As a mixer does it: from the state of the open chunk and its rows, chunk by chunk.
  bool recur(const Work& work, std::size_t layer, Outputs& out) {
    const Line& line = *work.line;
    const std::size_t first = line.tokens();
    std::size_t number = first / kChunkTokens;
    const RecurrentChunk open = line.chunk(layer, number);
    State state;
    std::memcpy(state.data(), open.state, sizeof state);
    std::vector<std::uint64_t> rows(first % kChunkTokens);
    if (!rows.empty()) std::memcpy(rows.data(), open.rows, rows.size() * sizeof rows[0]);
    for (std::size_t i = 0; i < work.ids.size(); ++i) {
      const RecurrentChunk chunk = line.chunk(layer, number);
      rows.push_back(row_of(work.ids[i], layer));
      if (chunk) {
        std::memcpy(chunk.rows + (rows.size() - 1) * sizeof rows[0], &rows.back(), sizeof rows[0]);
      }
      out[i] = mixed(out[i], seen_in_chunk(state, rows));
      if (rows.size() < kChunkTokens) continue;
      state = behind_chunk(state, rows);
      rows.clear();
      if (const RecurrentChunk next = line.chunk(layer, ++number))
        std::memcpy(next.state, state.data(), sizeof state);
    }
    return true;
  }

  // Goes on with a line to `end`, mending what is damaged, and holds all that comes of it to the
  // reference.
  void run(Line& line, std::span<const TokenId> ids, std::size_t end, std::size_t rows) {
    ASSERT_TRUE(line.reserve(end).ok());
    for (int mended = 0; line.tokens() < end;) {
      const std::size_t first = line.tokens();
      const Work work{&line, ids.subspan(first, std::min(rows, end - first))};
      const auto out = sweep({&work, 1});
      if (!out) {
        ASSERT_TRUE(line.is_damaged());
        ASSERT_LT(++mended, 100);
        line.mend(ids.first(end - 1));
        continue;
      }
      const auto expected = std::span(reference_).subspan(first, work.ids.size());
      ASSERT_TRUE(std::equal(expected.begin(), expected.end(), out->front().begin()))
          << first << " and " << work.ids.size() << " rows";
    }
  }

  const io::TemporaryFolder folder_;
  memory::Budget budget_{std::uint64_t{64} << 20};
  io::ReadQueue reads_{io::ReadMethod::threads};
  std::unique_ptr<Pool> pool_;
  std::unique_ptr<Store> store_;
  const Ids ids_ = test_tokens(3, kTokens);
  const Outputs reference_ = reference(ids_);
};

TEST_F(RecurrentLine, AnyChunkGivesWhatOnePassGives) {
  for (const bool pool : {false, true})
    for (const std::size_t rows : {1u, 7u, 64u, 100u, 300u}) {
      open({.rows = rows, .pool = pool});
      Line line(*store_);
      run(line, ids_, kTokens, rows);
    }
}

TEST_F(RecurrentLine, BytesAreChargedAndDoNotGrowWithTheLine) {
  const Options with = options({.rows = 100, .pool = false});
  EXPECT_EQ(blocks_of(with, with.layers[2]), 4u);
  open({.rows = 100, .pool = false});
  EXPECT_EQ(budget_.used_bytes(), frames_bytes(with));
  EXPECT_EQ(store_->groups(), 3u);
  EXPECT_EQ(store_->tables(), 2u);
  Line line(*store_);
  run(line, ids_, kTokens, 100);
  EXPECT_EQ(store_->free_blocks(2), 2u);  // the open chunk and the one before it are taken
}

TEST_F(RecurrentLine, LinesBesideEachOtherDoNotMeet) {
  open({.rows = 120, .lines = 3, .spills = true});
  std::vector<Ids> of = {ids_, test_tokens(4, 500), test_tokens(5, 320)};
  std::vector<Outputs> expected;
  std::vector<Line> lines;
  for (const Ids& ids : of) {
    expected.push_back(reference(ids));
    lines.emplace_back(*store_);
    ASSERT_TRUE(lines.back().reserve(ids.size()).ok());
  }
  const std::array<std::size_t, 3> rows = {70, 33, 1};
  for (bool all = false; !all;) {
    std::vector<Work> work;
    std::vector<std::size_t> lines_of_work;
    for (std::size_t i = 0; i < 3; ++i) {
      const std::size_t at = lines[i].tokens();
      const auto next = std::span(of[i]).subspan(at, std::min(rows[i], of[i].size() - at));
      if (next.empty()) continue;
      work.push_back({&lines[i], next});
      lines_of_work.push_back(i);
    }
    all = work.empty();
    std::vector<std::size_t> first;
    for (const Work& item : work) first.push_back(item.line->tokens());
    const auto out = sweep(work);
    ASSERT_TRUE(out);
    for (std::size_t i = 0; i < work.size(); ++i)
      for (std::size_t row = 0; row < work[i].ids.size(); ++row)
        ASSERT_EQ((*out)[i][row], expected[lines_of_work[i]][first[i] + row]);
  }
}

TEST_F(RecurrentLine, RewindsWithinSixtyFourTokensAreExact) {
  for (const bool pool : {false, true}) {
    open({.rows = 130, .pool = pool});
    for (const std::size_t end : {130u, 192u, 255u, 257u}) {
      for (std::size_t back = 1; back <= kRewindTokens; back += pool ? 9 : 1) {
        Line line(*store_);
        run(line, ids_, end, 130);
        ASSERT_EQ(*line.rewind(end - back), end - back);
        run(line, ids_, end + 20, back % 9 + 1);
      }
    }
  }
}

TEST_F(RecurrentLine, RewindsFurtherBackBeginAnewWhereNothingIsStored) {
  open({.rows = 100, .pool = false});
  Line line(*store_);
  run(line, ids_, 500, 100);
  EXPECT_EQ(*line.rewind(300), 0u);
  run(line, ids_, 500, 100);
}

TEST_F(RecurrentLine, WhatWasNotCommittedLeavesNothing) {
  open({.rows = 100});
  const Ids others = test_tokens(9, 100);
  Line line(*store_);
  ASSERT_TRUE(line.reserve(kTokens).ok());
  for (const std::size_t end : {1u, 50u, 64u, 100u, 127u, 200u, 300u}) {
    run(line, ids_, end, 40);
    for (const std::size_t rows : {1u, 20u, 100u}) {
      ASSERT_TRUE(line.reserve(end + rows).ok());
      const Work work{&line, std::span(others).first(rows)};
      ASSERT_TRUE(sweep({&work, 1}, /*commits=*/false));
    }
  }
  run(line, ids_, kTokens, 100);
}

TEST_F(RecurrentLine, ForksGoOnByThemselves) {
  open({.rows = 100, .lines = 2});
  for (const std::size_t at : {60u, 70u, 128u, 190u}) {
    Line parent(*store_);
    run(parent, ids_, 190, 100);
    Result<Line> child = parent.fork(at);
    if (at == 60) {
      EXPECT_EQ(child.error().kind, ErrorKind::invalid_argument);  // forgotten
      continue;
    }
    ASSERT_TRUE(child.ok()) << child.error().message;
    run(*child, ids_, 250, 7);
    run(parent, ids_, 300, 50);
    ASSERT_EQ(*child->rewind(250 - 64), 250u - 64);
    run(*child, ids_, 260, 30);
  }
}

TEST_F(RecurrentLine, StoredLinesStartAtEveryEntry) {
  {
    open({.rows = 150});
    Line line(*store_);
    line.add_entry(333);
    run(line, ids_, 610, 150);
    line.keep();
    store_->wait_for_commits();
    ASSERT_FALSE(store_->write_error());
  }
  open({.rows = 150});
  for (std::size_t asked = 1; asked < 640; asked += asked % 64 == 63 ? 1 : 31) {
    std::size_t expected = asked / 64 * 64;
    if (asked >= 333) expected = std::max<std::size_t>(expected, 333);
    if (asked >= 610) expected = 610;
    Line line(*store_);
    ASSERT_EQ(*line.restart(0, kTokens, std::span(ids_).first(asked)), expected) << asked;
    run(line, ids_, expected + 70, 150);
    // Back to where it started, no further.
    ASSERT_EQ(*line.rewind(expected + 70 - 64), expected + 6);
    run(line, ids_, expected + 70, 11);
  }
}

TEST_F(RecurrentLine, LinesThatWerePutAsideGoOn) {
  for (const bool spills : {false, true}) {
    std::size_t aside = 0;
    for (std::size_t end = 90; end <= kTokens; aside = end, end += 122) {
      open({.rows = 64, .entry_tokens = 4096, .spills = spills});
      Line line(*store_);
      ASSERT_EQ(*line.restart(0, end, std::span(ids_).first(end - 1)), aside);
      run(line, ids_, end, 64);
      line.keep();
      store_->wait_for_commits();
    }
    std::filesystem::remove_all(folder_.path() / "kv");
  }
}

TEST_F(RecurrentLine, WhatIsDamagedIsFoundAndComputedAgain) {
  {
    open({.rows = 100});
    Line line(*store_);
    run(line, ids_, kTokens, 100);
    line.keep();
    store_->wait_for_commits();
  }
  store_.reset();
  pool_.reset();
  const std::filesystem::path kv = folder_.path() / "kv";
  const std::filesystem::path whole = folder_.path() / "whole";
  std::filesystem::copy(kv, whole);
  std::uint64_t pages = 0;
  for (const auto& entry : std::filesystem::directory_iterator(whole))
    pages = std::max<std::uint64_t>(pages, entry.file_size() / 4096);
  std::uint64_t found = 0;
  for (std::uint64_t page = 1; page < pages; page += 3) {
    // What the last round stores is not written into the next one's folder.
    store_.reset();
    pool_.reset();
    std::filesystem::remove_all(kv);
    std::filesystem::copy(whole, kv);
    for (const auto& entry : std::filesystem::directory_iterator(kv)) {
      if (entry.file_size() <= page * 4096 + 8) continue;
      std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
      const auto at = static_cast<std::streamoff>(page * 4096 + page % 8);
      file.seekg(at);
      const int byte = file.get();
      file.seekp(at);
      file.put(static_cast<char>(byte ^ 16));
    }
    open({.rows = 100, .spills = page % 2 == 0});
    Line line(*store_);
    (void)line.restart(0, kTokens, std::span(ids_).first(kTokens - 1));
    run(line, ids_, kTokens, 100);
    found += store_->counters().corrupt_blocks;
  }
  EXPECT_GT(found, 4u);
}

}  // namespace
}  // namespace ollm::kv
