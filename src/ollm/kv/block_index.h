// The blocks of one fingerprint that can be found, in memory: by name, and by what they follow and
// begin with. Leaves to others: reading their records (pool.cc), and what is still there.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "ollm/base/sha256.h"
#include "ollm/base/token_id.h"
#include "ollm/kv/pool.h"
#include "ollm/kv/record.h"

namespace ollm::kv {

/// SHA-256 is its own hash.
struct DigestHash {
  std::size_t operator()(const Digest& digest) const;
};

/// How far two runs of tokens agree, roughly: hashes of their first 1, 2, 4, ... tokens.
class TokenSketch {
 public:
  TokenSketch() = default;
  explicit TokenSketch(std::span<const TokenId> tokens);

  /// 0: they do not begin alike. The higher, the more they share; equal where it is about the same.
  unsigned rank(const TokenSketch& other) const;

 private:
  static constexpr std::size_t kLevels = 10;
  std::array<std::uint16_t, kLevels> hashes_{};
  std::uint8_t levels_ = 0;  // with that many tokens
};

struct IndexEntry {
  std::uint64_t parent_key = 0;  // of its parent and group
  std::uint64_t file_number = 0;
  std::uint64_t offset = 0;  // of its first part
  RecordPlace record;
  std::uint64_t last_use = 0;
  TokenSketch sketch;
  /// The record itself, where it stands in no file.
  std::unique_ptr<BlockRecord> own_record;
};

/// One thread at a time.
class BlockIndex {
 public:
  /// Holds as many blocks as fit into so many bytes.
  explicit BlockIndex(std::size_t bytes);

  /// False where there is no room, or a block of that name is there already, which stays.
  bool add(const BlockRecord& record, const RecordPlace& where, std::uint64_t sequence);
  /// As add, for a block whose record stands in no file.
  bool add_with_record(const BlockRecord& record);

  const IndexEntry* find(const Digest& id) const;
  /// That it was used: the highest sequence counts.
  void use(const Digest& id, std::uint64_t sequence);

  void erase(const Digest& id);
  /// Only where it stands there; whether it did.
  bool erase_at(const Digest& id, std::uint64_t file_number, std::uint64_t offset);
  void erase_file(std::uint64_t file_number);

  struct Candidate {
    Digest id;
    unsigned rank = 0;
    std::uint64_t last_use = 0;
  };
  /// The blocks of `group` behind `parent` that begin as `tokens` do, by rank and then the one that
  /// was used last.
  std::vector<Candidate> candidates(std::uint32_t group, const Digest& parent,
                                    std::span<const TokenId> tokens) const;

  std::size_t size() const { return entries_.size(); }

 private:
  using Entries = std::unordered_map<Digest, IndexEntry, DigestHash>;

  IndexEntry* insert(const BlockRecord& record);
  void erase(Entries::iterator entry);

  std::size_t max_entries_;
  Entries entries_;
  std::unordered_multimap<std::uint64_t, const Entries::value_type*> children_;  // by parent_key
};

}  // namespace ollm::kv
