// What a sweep promises: errors, that tokens are committed on success alone, and that a line's
// logits do not depend on the lines beside.
#include "ollm/engine/engine.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <limits>

#include "ollm/engine/tiny_engine.h"
#include "ollm/io/faulty_system_calls.h"
#include "tests/allocation_count.h"

namespace ollm::engine {
namespace {

const std::vector<TinyLayer> kLayers = {{}, {.window = 20}, {}};

// Everything read anew by every sweep, in reads that fail as a test says.
TinyOptions streamed() {
  TinyOptions options;
  options.weights.pinned_limit_bytes = 0;
  options.weights.segment_bytes = 4096;
  options.weights.read_bytes = 4096;
  options.weights.ring_slots = 3;
  return options;
}

// A sweep whose logits nobody may see.
Result<void> fails(TinyEngine& tiny, kv::Line& line, std::span<const TokenId> ids,
                   const CancellationToken& cancel) {
  const Work work{&line, ids, 0};
  return sweep(
      tiny.engine(), {&work, 1},
      [](std::size_t, std::size_t, std::span<float>) { ADD_FAILURE() << "logits went out"; },
      cancel);
}

TEST(Engine, TokenOutsideTheVocabularyIsNamedAndNothingIsCommitted) {
  TinyEngine tiny{TinyModel(kLayers)};
  kv::Line line = tiny.line(10);
  for (const TokenId wrong : {TokenId{-1}, TokenId{60}}) {
    const std::vector<TokenId> ids = {1, 2, wrong};
    const Result<void> result = fails(tiny, line, ids, tiny.never());
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().kind, ErrorKind::invalid_argument);
    EXPECT_EQ(result.error().message,
              fmt::format("token id {} at position 2: the model has ids 0 to 59", wrong));
    EXPECT_EQ(line.tokens(), 0u);
  }
}

TEST(Engine, LogitsThatAreNoNumbersAreCorruptAndNothingIsCommitted) {
  TinyModel model(kLayers);
  model.scale("head", std::numeric_limits<float>::infinity());
  TinyEngine tiny(model);
  kv::Line line = tiny.line(10);
  const Result<void> result = fails(tiny, line, random_ids(5, 1), tiny.never());
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().kind, ErrorKind::corrupt);
  EXPECT_EQ(line.tokens(), 0u);
  // Tokens whose logits nobody wants are not looked at.
  const std::vector<TokenId> ids = random_ids(5, 1);
  const Work work{&line, ids, ids.size()};
  EXPECT_TRUE(sweep(tiny.engine(), {&work, 1}, nullptr, tiny.never()).ok());
  EXPECT_EQ(line.tokens(), 5u);
}

TEST(Engine, CancelledCommitsNothing) {
  TinyEngine tiny{TinyModel(kLayers)};
  kv::Line line = tiny.line(10);
  CancellationToken cancel;
  cancel.cancel();
  EXPECT_EQ(fails(tiny, line, random_ids(5, 1), cancel).error().kind, ErrorKind::cancelled);
  EXPECT_EQ(line.tokens(), 0u);
  EXPECT_EQ(tiny.engine().sweeps(), 0u);
}

TEST(Engine, AReadThatFailsCommitsNothingAndTheSweepMayBeTriedAgain) {
  const TinyModel model(kLayers);
  const std::vector<TokenId> ids = random_ids(12, 3);
  TinyEngine pinned(model);
  const std::vector<float> expected = pinned.logits(ids, ids.size());
  for (const std::uint64_t k : {std::uint64_t{0}, std::uint64_t{3}, std::uint64_t{7}}) {
    io::FaultySystemCalls calls;
    TinyEngine tiny(model, streamed(), calls);
    kv::Line line = tiny.line(ids.size());
    calls.fail(io::FaultySystemCalls::Call::pread, k, EIO);
    // What is read ahead may meet the fault in the sweep that follows.
    std::size_t failed = 0;
    std::vector<float> got;
    for (int attempt = 0; attempt < 3; ++attempt) {
      got.clear();
      const std::size_t before = line.tokens();
      const Work work{&line, ids, 0};
      const Result<void> result = sweep(
          tiny.engine(), {&work, 1},
          [&](std::size_t, std::size_t, std::span<float> row) {
            got.insert(got.end(), row.begin(), row.end());
          },
          tiny.never());
      if (result.ok()) {
        EXPECT_EQ(line.tokens(), ids.size());
        EXPECT_TRUE(same_bits(got, expected));
        ASSERT_TRUE(line.rewind(0).ok());
        ASSERT_TRUE(line.reserve(ids.size()).ok());
        continue;
      }
      ++failed;
      EXPECT_EQ(result.error().kind, ErrorKind::io);
      EXPECT_EQ(line.tokens(), before);
      EXPECT_TRUE(got.empty());
    }
    EXPECT_EQ(failed, 1u) << "read " << k;
  }
}

TEST(Engine, ExtendSweepsInChunksAndKeepsWhatWasCommitted) {
  TinyOptions options;
  options.max_rows = 4;
  options.max_logit_rows = 1;
  TinyEngine tiny(TinyModel(kLayers), options);
  const std::vector<TokenId> ids = random_ids(10, 4);
  TinyEngine whole{TinyModel(kLayers)};
  const std::vector<float> all = whole.logits(ids, ids.size());
  const std::span<const float> last = std::span(all).last(TinyModel::kVocab);

  kv::Line line = tiny.line(ids.size());
  CancellationToken cancel;
  std::vector<std::size_t> told;
  const auto stop_after_eight = [&](std::size_t done) {
    told.push_back(done);
    if (done == 8) cancel.cancel();
  };
  std::vector<float> got;
  const auto take = [&](std::span<float> row) { got.assign(row.begin(), row.end()); };
  const Result<void> stopped = extend(tiny.engine(), line, ids, stop_after_eight, take, cancel);
  EXPECT_EQ(stopped.error().kind, ErrorKind::cancelled);
  EXPECT_EQ(told, (std::vector<std::size_t>{4, 8}));
  EXPECT_EQ(line.tokens(), 8u);
  EXPECT_TRUE(got.empty());

  ASSERT_TRUE(
      extend(tiny.engine(), line, std::span(ids).subspan(8), nullptr, take, tiny.never()).ok());
  EXPECT_EQ(line.tokens(), 10u);
  EXPECT_TRUE(same_bits(got, last));
}

TEST(Engine, OnlyWantedLogitsGoOutWithTheirWorkAndToken) {
  TinyEngine tiny{TinyModel(kLayers)};
  const std::vector<TokenId> a = random_ids(3, 5);
  const std::vector<TokenId> b = random_ids(4, 6);
  kv::Line line_a = tiny.line(3);
  kv::Line line_b = tiny.line(4);
  const std::vector<Work> work = {{&line_a, a, 3}, {&line_b, b, 2}};
  std::vector<std::pair<std::size_t, std::size_t>> rows;
  ASSERT_TRUE(sweep(
                  tiny.engine(), work,
                  [&](std::size_t item, std::size_t token, std::span<float> row) {
                    EXPECT_EQ(row.size(), TinyModel::kVocab);
                    rows.emplace_back(item, token);
                  },
                  tiny.never())
                  .ok());
  EXPECT_EQ(rows, (std::vector<std::pair<std::size_t, std::size_t>>{{1, 2}, {1, 3}}));
}

TEST(Engine, ManyLinesAreEachAsAlone) {
  constexpr std::size_t kLines = 70;
  for (const backend::Isa isa : backend::supported_isas()) {
    TinyOptions options;
    options.isa = isa;
    options.threads = 3;
    options.kv_tokens = 64 * kLines * 3;
    TinyEngine tiny(TinyModel(kLayers), options);
    std::vector<std::vector<TokenId>> ids;
    std::vector<kv::Line> lines;
    std::vector<std::vector<float>> got(kLines);
    for (std::uint32_t i = 0; i < kLines; ++i) {
      ids.push_back(random_ids(2 + i % 9 * (i % 4) * 4, i));  // 2 to 98
      lines.push_back(tiny.line(ids[i].size()));
    }
    // Prompts of any length, then single tokens of all, then what is left.
    for (const std::size_t share : {std::size_t{1}, std::size_t{2}, std::size_t{1}, SIZE_MAX}) {
      for (std::size_t first = 0; first < kLines; first += share == SIZE_MAX ? 1 : kLines) {
        std::vector<Work> work;
        std::vector<std::size_t> who;
        for (std::size_t i = first; i < (share == SIZE_MAX ? first + 1 : kLines); ++i) {
          const std::span<const TokenId> left = std::span(ids[i]).subspan(lines[i].tokens());
          work.push_back({&lines[i], left.first(std::min(share, left.size())), 0});
          who.push_back(i);
        }
        const auto take = [&](std::size_t item, std::size_t, std::span<float> row) {
          std::vector<float>& all = got[who[item]];
          all.insert(all.end(), row.begin(), row.end());
        };
        ASSERT_TRUE(sweep(tiny.engine(), work, take, tiny.never()).ok());
      }
    }
    lines.clear();
    for (std::size_t i = 0; i < kLines; ++i)
      EXPECT_TRUE(same_bits(got[i], tiny.logits(ids[i], ids[i].size()))) << "line " << i;
  }
}

TEST(Engine, SweepsOfManyLinesAllocateNothing) {
  constexpr std::size_t kLines = 20;
  TinyOptions options;
  options.threads = 2;
  options.kv_tokens = kLines * 128;
  TinyEngine tiny(TinyModel(kLayers), options);
  const std::vector<TokenId> ids = random_ids(kLines, 8);
  std::vector<kv::Line> lines;
  for (std::size_t i = 0; i < kLines; ++i) lines.push_back(tiny.line(90));
  std::vector<Work> work;
  for (std::size_t i = 0; i < kLines; ++i)
    work.push_back({&lines[i], std::span(ids).subspan(i, 1), 0});
  const auto ignore = [](std::size_t, std::size_t, std::span<float>) {};
  const std::size_t before = ollm::testing::allocation_count();
  for (int token = 0; token < 90; ++token)
    ASSERT_TRUE(sweep(tiny.engine(), work, ignore, tiny.never()).ok());
  EXPECT_EQ(ollm::testing::allocation_count() - before, 0u);
}

}  // namespace
}  // namespace ollm::engine
