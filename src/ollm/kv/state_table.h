// The states of one line in one group of recurrent layers, in chunks of kChunkTokens tokens: of
// each chunk the states before it and what is kept of its rows. Leaves to others: that all groups
// of a line change together (line.h), what is in a state (models/).
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/kv/store.h"

namespace ollm::kv {

/// The chunk that a line's next token is in or begins, which is private, and the one before it, so
/// that the line can be rewound by kRewindTokens; in a sweep also those that it ends in, and those
/// of entries that it passes.
class StateTable {
 public:
  StateTable(Store& store, std::size_t group) : store_(&store), group_(group) {}

  /// Whether what rows behind `tokens` tokens need is there: it always is at a line's beginning.
  bool holds(std::size_t tokens) const;
  /// The block of a chunk; an empty one where nothing needs it.
  BlockRef chunk(std::size_t index) const;

  /// Room for what `rows` rows behind `tokens` tokens leave behind, and, as far as there is, for
  /// what of it `entries` need. Errors: out_of_budget.
  Result<void> prepare(std::size_t tokens, std::size_t rows, std::span<const std::size_t> entries);
  /// That the line has so many tokens now: gives back what it cannot be rewound into.
  void forget(std::size_t tokens);

  /// Whether the store has the block that `rewind` or `fork` copies.
  bool can_rewind(std::size_t tokens) const;
  bool can_fork(std::size_t tokens) const;
  /// Back to `tokens` tokens, which it holds. can_rewind must hold.
  void rewind(std::size_t tokens);
  /// The same of another line, which goes on by itself. can_fork must hold.
  StateTable fork(std::size_t tokens) const;

  /// That the line begins with `tokens` tokens, behind which this chunk goes on.
  void start_at(std::size_t tokens, BlockRef block);

 private:
  struct Chunk {
    std::size_t index = 0;
    BlockRef block;
  };
  void drop_behind(std::size_t tokens);
  BlockRef copy(const BlockRef& block) const;
  bool has(std::size_t index) const;

  Store* store_;
  std::size_t group_;
  std::vector<Chunk> chunks_;  // a few, ascending but for those of a sweep that is under way
};

}  // namespace ollm::kv
