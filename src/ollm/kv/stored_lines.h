// For the tests of this folder: lines of tokens whose blocks hold bytes that are known from their
// names, stored and found again, so that any wrong byte is seen.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "ollm/base/check.h"
#include "ollm/kv/pool.h"

namespace ollm::kv {

inline constexpr std::uint32_t kTestLayers = 2;
inline constexpr std::uint32_t kTestPart = 4096;
inline constexpr std::size_t kTestBlockTokens = 8;

inline Digest test_fingerprint(std::string_view of = "model") { return sha256(of); }

inline std::vector<TokenId> test_tokens(std::uint64_t seed, std::size_t count) {
  std::mt19937_64 random(seed);
  std::vector<TokenId> tokens(count);
  for (TokenId& token : tokens) token = static_cast<TokenId>(random() % 32000);
  return tokens;
}

/// Memory for direct reads.
class AlignedBytes {
 public:
  explicit AlignedBytes(std::size_t size)
      : size_(size), bytes_(static_cast<std::byte*>(std::aligned_alloc(4096, size)), &std::free) {}
  std::byte* data() { return bytes_.get(); }
  std::span<std::byte> all() { return {bytes_.get(), size_}; }

 private:
  std::size_t size_;
  std::unique_ptr<std::byte, void (*)(void*)> bytes_;
};

/// What a block of this name holds.
inline AlignedBytes test_payload(const Digest& id, std::uint32_t layers = kTestLayers,
                                 std::uint32_t part_bytes = kTestPart) {
  AlignedBytes bytes(std::size_t{layers} * part_bytes);
  std::uint64_t seed = 0;
  std::memcpy(&seed, id.bytes.data(), sizeof seed);
  std::mt19937_64 random(seed);
  for (std::size_t at = 0; at < bytes.all().size(); at += 8) {
    const std::uint64_t value = random();
    std::memcpy(bytes.data() + at, &value, 8);
  }
  return bytes;
}

/// Writes the blocks of a line that are not there, without committing them.
inline Result<std::vector<BlockRecord>> write_line(Pool& pool, const Digest& fingerprint,
                                                   std::span<const TokenId> tokens,
                                                   std::uint32_t group = 0) {
  std::vector<BlockRecord> records;
  Digest parent = root_id();
  BlockPlace before;
  while (!tokens.empty()) {
    const auto some = tokens.first(std::min(kTestBlockTokens, tokens.size()));
    tokens = tokens.subspan(some.size());
    BlockRecord record{.id = block_id(fingerprint, group, parent, some),
                       .parent = parent,
                       .group = group,
                       .tokens = {some.begin(), some.end()},
                       .place = {},
                       .checksums = {}};
    parent = record.id;
    if (const auto found = pool.match(group, record.parent, some);
        found && found->record.id == record.id) {
      before = found->record.place;
      pool.release(found->record.id);
      continue;
    }
    const auto give_back = [&](Error error) {
      for (const BlockRecord& other : records) pool.give_back(other.place);
      return error;
    };
    auto place = pool.place(kTestLayers, kTestPart, before);
    if (!place.ok()) return give_back(std::move(place).error());
    record.place = before = *place;
    AlignedBytes payload = test_payload(record.id);
    auto written = pool.write(record.place, payload.data(), kTestPart);
    if (!written.ok()) {
      pool.give_back(record.place);
      return give_back(std::move(written).error());
    }
    record.checksums = std::move(written).value();
    records.push_back(std::move(record));
  }
  return records;
}

/// Stores a line: what of it is not there is written and committed.
inline Result<void> store_line(Pool& pool, const Digest& fingerprint,
                               std::span<const TokenId> tokens, std::uint32_t group = 0) {
  OLLM_TRY(const auto records, write_line(pool, fingerprint, tokens, group));
  auto committed = pool.commit(records);
  if (!committed.ok())
    for (const BlockRecord& record : records) pool.give_back(record.place);
  return committed;
}

enum class Read { right, wrong, refused };

/// Reads a block that was found: refused where its checksums or the file system say no.
inline Read read_block(const BlockRecord& record) {
  AlignedBytes bytes(std::size_t{record.place.layers} * record.place.part_bytes);
  for (std::uint32_t layer = 0; layer < record.place.layers; ++layer) {
    const auto part =
        bytes.all().subspan(layer * std::size_t{record.place.part_bytes}, record.place.part_bytes);
    const std::uint64_t offset = record.place.offset + layer * record.place.stride;
    if (!record.place.file->read_at(offset, part).ok() ||
        !Pool::holds(record.place, layer, record.checksums[layer], part.data()))
      return Read::refused;
  }
  const AlignedBytes expected =
      test_payload(record.id, record.place.layers, record.place.part_bytes);
  AlignedBytes& right = const_cast<AlignedBytes&>(expected);
  return std::memcmp(bytes.data(), right.data(), right.all().size()) == 0 ? Read::right
                                                                          : Read::wrong;
}

/// How many tokens of a line are found and read right; a block that is refused is set aside and
/// ends it. Any wrong byte ends the test.
inline std::size_t stored_tokens(Pool& pool, std::span<const TokenId> tokens,
                                 std::uint32_t group = 0) {
  Digest parent = root_id();
  std::size_t done = 0;
  while (done < tokens.size()) {
    const auto found = pool.match(group, parent, tokens.subspan(done));
    if (!found) break;
    OLLM_CHECK(found->common > 0 && found->common <= tokens.size() - done);
    OLLM_CHECK(std::equal(tokens.begin() + static_cast<std::ptrdiff_t>(done),
                          tokens.begin() + static_cast<std::ptrdiff_t>(done + found->common),
                          found->record.tokens.begin()));
    const Read read = read_block(found->record);
    OLLM_CHECK(read != Read::wrong);
    pool.release(found->record.id);
    if (read == Read::refused) {
      pool.set_aside(found->record.id);
      break;
    }
    done += found->common;
    if (found->common < found->record.tokens.size()) break;
    parent = found->record.id;
  }
  return done;
}

}  // namespace ollm::kv
