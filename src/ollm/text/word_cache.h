// The ids of words seen lately: most words of a text have been seen before.
// Leaves making the ids to the model, whose scratch holds one.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "ollm/base/token_id.h"
#include "ollm/text/hash.h"

namespace ollm::text {

/// A table of 64-byte slots in which a new word takes the place of the one that was there: 1 MiB,
/// whatever it is asked. Longer words, or such of many tokens, are not kept.
class WordCache {
 public:
  static constexpr std::size_t kMaxBytes = 22;
  static constexpr std::size_t kMaxIds = 9;

  WordCache() : slots_(kSlots), seed_(hash_seed()) {}

  /// Appends the ids of a word of at most kMaxBytes bytes; false where it is not here.
  bool find(std::string_view word, std::vector<TokenId>& out) const {
    const std::uint64_t hash = hash_bytes(word, seed_);
    const Slot& slot = slots_[hash % kSlots];
    if (slot.length != word.size() || slot.tag != static_cast<std::uint32_t>(hash >> 32) ||
        std::memcmp(slot.word.data(), word.data(), word.size()) != 0) {
      return false;
    }
    out.insert(out.end(), slot.ids.begin(), slot.ids.begin() + slot.count);
    return true;
  }

  void put(std::string_view word, std::span<const TokenId> ids) {
    if (word.empty() || word.size() > kMaxBytes || ids.size() > kMaxIds) return;
    const std::uint64_t hash = hash_bytes(word, seed_);
    Slot& slot = slots_[hash % kSlots];
    slot.tag = static_cast<std::uint32_t>(hash >> 32);
    slot.length = static_cast<std::uint8_t>(word.size());
    slot.count = static_cast<std::uint8_t>(ids.size());
    std::memcpy(slot.word.data(), word.data(), word.size());
    std::copy(ids.begin(), ids.end(), slot.ids.begin());
  }

 private:
  static constexpr std::size_t kSlots = 1 << 14;
  struct Slot {
    std::uint32_t tag = 0;
    std::uint8_t length = 0;  // 0: empty
    std::uint8_t count = 0;
    std::array<char, kMaxBytes> word{};
    std::array<TokenId, kMaxIds> ids{};
  };
  static_assert(sizeof(Slot) == 64);

  std::vector<Slot> slots_;
  std::uint64_t seed_;
};

}  // namespace ollm::text
