// The blocks of one line in one group of layers, in the order of its tokens.
// Leaves to others: that all groups of a line change together (line.h).
#pragma once

#include <cstddef>
#include <vector>

#include "ollm/kv/store.h"

namespace ollm::kv {

/// Full blocks, which may be shared and are never written again, and one private open tail.
class BlockTable {
 public:
  BlockTable(Store& store, std::size_t group) : store_(&store), group_(group) {}

  std::size_t blocks() const { return blocks_.size(); }
  std::byte* block(std::size_t index) const { return store_->data(blocks_[index]); }
  /// Whether no other line shares the block.
  bool is_private(std::size_t index) const { return blocks_[index].count() == 1; }

  /// Whether the store has the blocks for `needed` in all.
  bool can_grow(std::size_t needed) const;
  /// Takes free blocks until there are `needed`; can_grow must hold.
  void grow(std::size_t needed);

  /// Whether `rewind` to `tokens` and growing to `needed` blocks would find the blocks that it
  /// takes, counting those that are given back.
  bool can_rewind(std::size_t tokens, std::size_t needed) const;
  /// Gives back all blocks behind `tokens` tokens; a shared one that becomes the open tail is
  /// copied. can_rewind must hold.
  void rewind(std::size_t tokens);

  /// Whether the store has the block for the tail of a fork.
  bool can_fork(std::size_t tokens) const;
  /// A table of the same first `tokens` tokens: full blocks are shared, the tail is copied.
  /// can_fork must hold.
  BlockTable fork(std::size_t tokens) const;

 private:
  std::size_t block_tokens() const { return store_->options().block_tokens; }
  // Whether the block with the last of `tokens` tokens is open and shared.
  bool copies_tail(std::size_t tokens) const;

  Store* store_;
  std::size_t group_;
  std::vector<BlockRef> blocks_;
};

}  // namespace ollm::kv
