// The strings of a vocabulary and their ids, both ways.
// Leaves what the strings mean to the models, and added tokens to added_tokens.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/base/token_id.h"

namespace ollm::text {

/// All strings stand in one block of memory, found by an open hash table of ids. Ids may have
/// holes.
class Vocabulary {
 public:
  /// Makes room for `tokens` strings of `bytes` bytes in all; a hint.
  void reserve(std::size_t tokens, std::size_t bytes);

  /// Adds a string. Errors: corrupt where the id is below 0 or above kMaxTokenId, or where the
  /// string or the id is there already.
  Result<void> add(std::string_view token, std::int64_t id);

  /// The same for vocabularies in which a string may stand twice: the later id is found by it.
  Result<void> add_or_replace(std::string_view token, std::int64_t id);

  std::optional<TokenId> find(std::string_view token) const;

  /// The same for many at once, several times faster as their memory is fetched side by side; -1
  /// where a token is not there. Both spans have one length.
  void find_all(std::span<const std::string_view> tokens, std::span<TokenId> ids) const;

  /// The string of an id; nothing in a hole or outside. Borrowed from the vocabulary.
  std::optional<std::string_view> at(TokenId id) const;

  std::size_t count() const { return count_; }
  /// The largest id + 1.
  std::size_t size() const { return entries_.size(); }
  std::size_t memory_bytes() const;

 private:
  struct Entry {
    std::uint32_t offset = 0;
    std::uint32_t length = kHole;
  };
  struct Slot {
    std::uint32_t tag = 0;  // upper half of the hash
    TokenId id = -1;        // -1: empty
  };
  static constexpr std::uint32_t kHole = UINT32_MAX;

  Result<void> check_id(std::string_view token, std::int64_t id) const;
  void append(std::string_view token, TokenId id);
  /// The slot where `token` is, or where it would be put.
  std::size_t slot_of(std::string_view token, std::uint64_t hash) const;
  void grow(std::size_t slots);
  std::string_view text(TokenId id) const {
    const Entry& entry = entries_[static_cast<std::size_t>(id)];
    return std::string_view(strings_).substr(entry.offset, entry.length);
  }

  std::string strings_;
  std::vector<Entry> entries_;  // by id
  std::vector<Slot> slots_;     // a power of two, at most two thirds full
  std::size_t count_ = 0;
};

}  // namespace ollm::text
