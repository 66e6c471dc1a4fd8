// Keys and values of sequences: tables of reference-counted blocks in the packed layout of
// backend/. Leaves to others: what is written into a slot and how attention folds (backend/), which
// strategy is chosen (plan/).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ollm/backend/kv_layout.h"
#include "ollm/base/result.h"
#include "ollm/memory/budget.h"
#include "ollm/memory/buffer.h"

namespace ollm::kv {

/// What the plan chose.
struct Options {
  std::string strategy = "resident";
  std::vector<backend::KvLayout> layers;
  /// A multiple of backend::kTileTokens. Blocks are what is shared, kept and moved; the fold tile
  /// does not depend on it, so that no bit does.
  std::size_t block_tokens = 64;
  /// Blocks that may exist at once, over all sequences.
  std::size_t max_blocks = 0;
};

/// Bytes of one block: all layers, `block_tokens` tokens.
std::uint64_t block_bytes(const Options& options);

/// Blocks that a sequence of this many tokens needs.
std::size_t blocks_for_tokens(const Options& options, std::size_t tokens);

class Store;

/// Shares one block; the block is free again when the last reference goes.
class BlockRef {
 public:
  BlockRef() = default;
  BlockRef(const BlockRef& other);
  BlockRef(BlockRef&& other) noexcept;
  BlockRef& operator=(BlockRef other) noexcept;
  ~BlockRef();

  explicit operator bool() const { return store_ != nullptr; }
  /// References to this block, this one included.
  std::uint32_t count() const;

 private:
  friend class Store;
  friend class Sequence;
  BlockRef(Store* store, std::uint32_t index) : store_(store), index_(index) {}

  Store* store_ = nullptr;
  std::uint32_t index_ = 0;
};

/// All blocks of one loaded model. One thread at a time; must outlive its sequences.
class Store {
 public:
  /// Charges max_blocks to the budget at once, so that the token loop needs none.
  /// Errors: out_of_budget; unsupported for a strategy that is not built.
  static Result<std::unique_ptr<Store>> make(Options options, memory::Budget& budget);

  const Options& options() const { return options_; }
  std::size_t free_blocks() const { return free_.size(); }

 private:
  friend class BlockRef;
  friend class Sequence;
  explicit Store(Options options);

  Result<BlockRef> take();  // zeroed; errors: out_of_budget
  Error full() const;
  void release(std::uint32_t index);
  std::byte* tile(std::uint32_t block, std::size_t layer, std::size_t tile_in_block);

  Options options_;
  std::vector<std::size_t> layer_offset_;  // of each layer inside a block
  std::size_t block_bytes_ = 0;
  memory::Buffer storage_;
  std::vector<std::uint32_t> references_;  // of each block
  std::vector<std::uint32_t> free_;
  std::vector<bool> dirty_;  // was used before: must be zeroed when it is taken again
};

/// Some tiles of one layer, one after the other.
struct TileRun {
  std::span<const std::byte* const> tiles;  // empty: the walk is over
  std::size_t first_token = 0;              // of the first tile
  bool last = true;                         // nothing follows
};

/// The keys and values of one line of tokens: full blocks, which may be shared and are never
/// written again, and one private open tail.
class Sequence {
 public:
  explicit Sequence(Store& store) : store_(&store) {}
  Sequence(Sequence&&) = default;
  Sequence& operator=(Sequence&&) = default;

  /// Tokens whose keys and values are complete in all layers.
  std::size_t tokens() const { return tokens_; }

  /// Makes room for `tokens` tokens in all, so that writing them allocates nothing.
  /// Errors: out_of_budget, when the store has no free block left; nothing is changed then.
  Result<void> reserve(std::size_t tokens);

  /// The tile of one layer that holds this token, for writing; `token` must not be below tokens()
  /// and room must be reserved. The slot is token % kTileTokens.
  std::byte* tile_for_write(std::size_t layer, std::size_t token);

  /// Declares the next `count` tokens complete in all layers.
  void commit(std::size_t count);

  /// Starts a walk over the tiles of one layer that hold tokens [first_token rounded down to a
  /// tile, end_token). One walk at a time; a new one takes the place of what is left of the last.
  void walk(std::size_t layer, std::size_t first_token, std::size_t end_token);

  /// The next tiles of the walk, in ascending order: all at once or run by run; where they come
  /// from is nobody's business. Valid until the next call, or anything is written.
  /// Errors: io, corrupt where blocks come from disk.
  Result<TileRun> next_run();

  /// A second sequence with the same first `tokens` tokens: full blocks are shared, the tail is
  /// copied. Errors: out_of_budget.
  Result<Sequence> fork(std::size_t tokens) const;

  /// Forgets all tokens from `kept` on and makes room for `tokens` in all: as truncate and reserve,
  /// but where the store has too few blocks, counting what is given back, nothing is changed.
  /// Errors: out_of_budget.
  Result<void> restart(std::size_t kept, std::size_t tokens);

  /// Forgets all tokens from `tokens` on. Blocks behind are given back; a shared block that would
  /// become the open tail is copied first. Errors: out_of_budget.
  Result<void> truncate(std::size_t tokens);

 private:
  Store* store_;
  std::vector<BlockRef> blocks_;
  std::size_t tokens_ = 0;
  // of the walk
  std::size_t layer_ = 0;
  std::size_t next_tile_ = 0;
  std::size_t end_tile_ = 0;
  std::vector<const std::byte*> tiles_;  // of a run; reserved with the blocks
};

}  // namespace ollm::kv
