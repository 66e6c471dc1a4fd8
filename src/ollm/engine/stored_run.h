// For the tests of engine/: a line that is computed by one engine and gone on with by others over
// the same folder of stored keys and values, held to the logits of a line without any store.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <vector>

#include "ollm/engine/tiny_engine.h"
#include "ollm/io/temporary_folder.h"

namespace ollm::engine {

class StoredRun : public ::testing::Test {
 protected:
  static constexpr std::size_t kTokens = 900;

  explicit StoredRun(const std::vector<TinyLayer>& layers) : model_(layers) {}

  TinyOptions options(std::size_t max_rows, std::size_t frames, bool kept = true) const {
    TinyOptions out;
    out.isa = backend::best_isa(backend::ComputeMode::f32);
    out.max_rows = out.max_logit_rows = max_rows;
    out.kv_block_tokens = 128;
    out.kv_tokens = 2048;
    out.kv_frames = frames;
    out.kv_forgets = true;
    out.kv_entry_tokens = entry_tokens_;
    out.kv_pool = kv::PoolOptions();
    out.kv_pool->folder = folder_.path() / "kv";
    out.kv_pool->kept = kept;
    out.kv_pool->stripe_part_bytes = 16 << 10;
    return out;
  }

  // The logits of tokens from the first that is not stored on; how many are.
  std::vector<float> go_on(TinyEngine& tiny, std::size_t tokens, std::size_t chunk,
                           std::size_t* stored) {
    kv::Line line(tiny.store());
    const std::span<const TokenId> ids = std::span(ids_).first(tokens);
    const Result<std::size_t> found = line.restart(0, tokens, ids.first(tokens - 1));
    EXPECT_TRUE(found.ok());
    *stored = *found;
    for (const std::size_t entry : entries_) line.add_entry(entry);
    std::vector<float> out(tokens * TinyModel::kVocab);
    while (line.tokens() < tokens) {
      const std::size_t at = line.tokens();
      const Work work{&line, ids.subspan(at, std::min(chunk, tokens - at)), 0};
      const Result<void> swept = sweep(
          tiny.engine(), {&work, 1},
          [&](std::size_t, std::size_t token, std::span<float> row) {
            const std::size_t place = (at + token) * TinyModel::kVocab;
            std::copy(row.begin(), row.end(), out.begin() + static_cast<std::ptrdiff_t>(place));
          },
          tiny.never());
      if (swept.ok()) continue;
      EXPECT_TRUE(line.is_damaged()) << swept.error().message;
      if (!line.is_damaged()) return {};
      *stored = std::min(*stored, line.mend());
    }
    out.erase(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(*stored * TinyModel::kVocab));
    line.keep();
    tiny.store().wait_for_commits();
    return out;
  }

  void expect_tail_of_whole(const std::vector<float>& logits, std::size_t tokens) const {
    const std::size_t size = tokens * TinyModel::kVocab;
    ASSERT_LE(logits.size(), size);
    ASSERT_FALSE(logits.empty());
    EXPECT_EQ(logits,
              std::vector<float>(whole_.begin() + static_cast<std::ptrdiff_t>(size - logits.size()),
                                 whole_.begin() + static_cast<std::ptrdiff_t>(size)));
  }

  void flip_a_bit(std::uint64_t from_page) const {
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path() / "kv")) {
      if (entry.file_size() < (from_page + 1) * 4096) continue;
      std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
      file.seekg(static_cast<std::streamoff>(from_page * 4096 + 100));
      const int byte = file.get();
      file.seekp(static_cast<std::streamoff>(from_page * 4096 + 100));
      file.put(static_cast<char>(byte ^ 4));
    }
  }

  std::size_t entry_tokens_ = 64;
  std::vector<std::size_t> entries_;  // of lines, beside
  const io::TemporaryFolder folder_;
  const TinyModel model_;
  const std::vector<TokenId> ids_ = random_ids(kTokens, 3);
  const std::vector<float> whole_ = [this] {
    TinyOptions resident;
    resident.isa = backend::best_isa(backend::ComputeMode::f32);
    return TinyEngine(model_, resident).logits(ids_, 200);
  }();
};

}  // namespace ollm::engine
