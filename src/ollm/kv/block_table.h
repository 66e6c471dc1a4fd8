// The blocks of one line in one group of layers, in the order of its tokens.
// Leaves to others: that all groups of a line change together (line.h).
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "ollm/kv/store.h"

namespace ollm::kv {

/// Full blocks, which may be shared and are never written again, and one private open tail; behind
/// it open blocks that hold no token yet.
class BlockTable {
 public:
  BlockTable(Store& store, std::size_t group) : store_(&store), group_(group) {}

  std::size_t blocks() const { return blocks_.size(); }
  /// Blocks from the first on that were forgotten; there is nothing in their places.
  std::size_t forgotten() const { return forgotten_; }
  /// Forgets all blocks before one.
  void forget_before(std::size_t index);
  /// That there is nothing before one, which is put next.
  void start_at(std::size_t index);
  const BlockRef& operator[](std::size_t index) const { return blocks_[index]; }
  /// The block before one; none where there is none.
  BlockRef before(std::size_t index) const;
  /// The bytes of a block in memory.
  std::byte* data(std::size_t index) const { return store_->data(blocks_[index]); }
  /// Whether no other line shares the block.
  bool is_private(std::size_t index) const { return blocks_[index].count() == 1; }

  /// Whether the store has the blocks for `needed` in all.
  bool can_grow(std::size_t needed) const;
  /// Takes free blocks until there are `needed`; can_grow must hold. Where the store quantizes, one
  /// more is taken for the copy that `settle` makes.
  void grow(std::size_t needed);

  /// Where the store quantizes: gives the block for the next copy a frame. Errors: those of
  /// Store::give_frame.
  Result<void> prepare_copy();
  /// The same: quantizes the blocks [first, end), which are full now, and copies the last of them
  /// as it was, so that a rewind by as much as a block finds it so.
  void settle(std::size_t first, std::size_t end);
  /// Whether that copy is of this block.
  bool has_copy_of(std::size_t index) const { return copy_of_ == index; }

  /// Whether `rewind` to `tokens` and growing to `needed` blocks would find the blocks that it
  /// takes, counting those that are given back.
  bool can_rewind(std::size_t tokens, std::size_t needed) const;
  /// Gives back all blocks behind `tokens` tokens. The one that becomes the open tail is opened
  /// again where it was sealed, and copied where it is shared; one that was quantized must have its
  /// copy, which takes its place. can_rewind must hold.
  /// Errors: those of Store::load and Store::copy; all else is done then.
  Result<void> rewind(std::size_t tokens);

  /// Whether the store has the block for the tail of a fork.
  bool can_fork(std::size_t tokens) const;
  /// A table of the same first `tokens` tokens: full blocks are shared, the tail is copied.
  /// can_fork must hold. Errors: those of Store::copy.
  Result<BlockTable> fork(std::size_t tokens) const;

  /// Puts a block at a place, the last one or behind it; what stood there and behind is given back.
  void put(std::size_t index, BlockRef block);

 private:
  std::size_t block_tokens() const { return store_->options().block_tokens; }
  // Whether the block with the last of `tokens` tokens is open and shared.
  bool copies_tail(std::size_t tokens) const;
  // Whether the copy becomes the block with the last of `tokens` tokens.
  bool takes_copy(std::size_t tokens) const;
  // Whether the block for a copy is to be taken.
  bool lacks_copy(std::size_t needed) const;

  Store* store_;
  std::size_t group_;
  std::vector<BlockRef> blocks_;
  std::size_t forgotten_ = 0;
  BlockRef copy_;                       // where the store quantizes; this line's alone
  std::optional<std::size_t> copy_of_;  // the index of the block that it is of
};

}  // namespace ollm::kv
