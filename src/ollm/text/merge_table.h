// The merges of a BPE vocabulary, found by the pair that is merged.
// Leaves the order in which they are applied to model_bpe.cc.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "ollm/base/token_id.h"
#include "ollm/text/hash.h"

namespace ollm::text {

/// An open hash table of 16-byte slots; a pair that stands twice has its last rank, as in the
/// Hugging Face library.
class MergeTable {
 public:
  static constexpr std::uint32_t kNoRank = UINT32_MAX;
  struct Slot {
    std::uint64_t pair = kEmpty;
    std::uint32_t rank = kNoRank;
    TokenId result = -1;
  };

  explicit MergeTable(std::size_t merges)
      : slots_(std::bit_ceil(std::max<std::size_t>(64, merges + merges / 2))),
        mask_(slots_.size() - 1),
        seed_(hash_seed()) {}

  void set(TokenId left, TokenId right, std::uint32_t rank, TokenId result) {
    const std::uint64_t pair = pair_of(left, right);
    std::size_t index = hash_number(pair, seed_) & mask_;
    while (slots_[index].pair != kEmpty && slots_[index].pair != pair) index = (index + 1) & mask_;
    slots_[index] = {pair, rank, result};
  }

  /// The merge of a pair; where there is none, a slot with kNoRank.
  const Slot& find(TokenId left, TokenId right) const {
    const std::uint64_t pair = pair_of(left, right);
    std::size_t index = hash_number(pair, seed_) & mask_;
    while (slots_[index].pair != pair && slots_[index].pair != kEmpty) index = (index + 1) & mask_;
    return slots_[index];
  }

  /// Whether `keep(slot)` is true of every merge.
  template <typename Keep>
  bool all_of(const Keep& keep) const {
    return std::all_of(slots_.begin(), slots_.end(),
                       [&](const Slot& slot) { return slot.pair == kEmpty || keep(slot); });
  }
  /// The merges of which `keep(slot)` is true.
  template <typename Keep>
  MergeTable copy_if(const Keep& keep) const {
    MergeTable out(slots_.size() * 2 / 3);
    for (const Slot& slot : slots_) {
      if (slot.pair == kEmpty || !keep(slot)) continue;
      out.set(static_cast<TokenId>(slot.pair >> 32), static_cast<TokenId>(slot.pair & UINT32_MAX),
              slot.rank, slot.result);
    }
    return out;
  }

  std::size_t memory_bytes() const { return slots_.capacity() * sizeof(Slot); }

 private:
  static constexpr std::uint64_t kEmpty = UINT64_MAX;  // ids are below 2^31
  static std::uint64_t pair_of(TokenId left, TokenId right) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
           static_cast<std::uint32_t>(right);
  }

  std::vector<Slot> slots_;
  std::size_t mask_;
  std::uint64_t seed_;
};

}  // namespace ollm::text
