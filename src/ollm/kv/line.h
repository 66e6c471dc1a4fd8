// What a line of tokens leaves behind in every layer for the tokens that follow: a table of blocks
// of keys and values for each group of layers. A group that keeps something else (a recurrent
// state, a frozen memory) is to stand beside BlockTable in Line::groups_: every operation here is
// one over all groups, and asks each before it changes any. Leaves to others: which tokens they are
// (runtime/), what attention makes of them (backend/).
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/kv/block_table.h"
#include "ollm/kv/store.h"

namespace ollm::kv {

/// Some tiles of one layer, one after the other.
struct TileRun {
  std::span<const std::byte* const> tiles;  // empty: the walk is over
  std::size_t first_token = 0;              // of the first tile
  bool last = true;                         // nothing follows
};

/// One line of tokens in a store.
class Line {
 public:
  explicit Line(Store& store);
  Line(Line&&) = default;
  Line& operator=(Line&&) = default;

  /// Tokens that are complete in all layers.
  std::size_t tokens() const { return tokens_; }

  /// Makes room for `tokens` tokens in all, so that writing them allocates nothing.
  /// Errors: out_of_budget, when the store has too few free blocks; nothing is changed then.
  Result<void> reserve(std::size_t tokens);

  /// The tile of one layer that holds this token, for writing; `token` must not be below tokens(),
  /// room must be reserved, and the layer must store keys and values of its own. The slot is
  /// token % kTileTokens.
  std::byte* tile_for_write(std::size_t layer, std::size_t token);

  /// Declares the next `count` tokens complete in all layers.
  void commit(std::size_t count);

  /// Starts a walk over the tiles that one layer reads and that hold tokens [first_token rounded
  /// down to a tile, end_token). One walk at a time; a new one takes the place of what is left of
  /// the last.
  void walk(std::size_t layer, std::size_t first_token, std::size_t end_token);

  /// The next tiles of the walk, in ascending order: all at once or run by run; where they come
  /// from is nobody's business. Valid until the next call, or the line changes.
  /// Errors: io, corrupt where blocks come from disk.
  Result<TileRun> next_run();

  /// A second line with the same first `tokens` tokens: what is complete is shared, what is open is
  /// copied. Errors: out_of_budget.
  Result<Line> fork(std::size_t tokens) const;

  /// Forgets tokens from `tokens` on, or from as far before as one of the groups needs; how many
  /// are left. Keys and values of all tokens are resident, so that today it is `tokens` itself.
  /// Errors: out_of_budget, as a shared block that becomes the open tail is copied; nothing is
  /// changed then.
  Result<std::size_t> rewind(std::size_t tokens);

  /// `rewind` to `kept`, then `reserve`; but where the store has too few blocks, counting what is
  /// given back, nothing is changed. How many tokens are left. Errors: out_of_budget.
  Result<std::size_t> restart(std::size_t kept, std::size_t tokens);

 private:
  void make_room(std::size_t tokens);

  Store* store_;
  std::vector<BlockTable> groups_;  // of the store
  std::size_t tokens_ = 0;

  // of the walk
  std::size_t layer_ = 0;
  std::size_t next_tile_ = 0;
  std::size_t end_tile_ = 0;
  std::vector<const std::byte*> tiles_;  // of a run; reserved with the blocks
};

}  // namespace ollm::kv
