// What a line of tokens leaves behind in every layer for the tokens that follow: for each group of
// layers a table of blocks of keys and values, or recurrent states. Every operation here is one
// over all groups, and asks each before it changes any. Leaves to others: where blocks are and how
// they come (store.h, sweep_reads.h), what attention makes of them (backend/).
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/base/token_id.h"
#include "ollm/kv/block_table.h"
#include "ollm/kv/state_table.h"
#include "ollm/kv/store.h"

namespace ollm::kv {

/// Some tiles of one layer, one after the other.
struct TileRun {
  std::span<const std::byte* const> tiles;
  std::size_t first_token = 0;  // of the first tile
  bool first = true;            // of the walk
  bool last = true;             // nothing follows
};

/// Of a chunk of kChunkTokens tokens in one recurrent layer. Null where nobody needs it.
struct RecurrentChunk {
  std::byte* state = nullptr;  // before the chunk: state_bytes
  std::byte* rows = nullptr;   // row_bytes of each of its tokens, one behind the other

  explicit operator bool() const { return state != nullptr; }
};

/// One line of tokens in a store.
class Line {
 public:
  explicit Line(Store& store);
  Line(Line&&) = default;
  Line& operator=(Line&&) = default;

  Store& store() const { return *store_; }
  /// Tokens that are complete in all layers.
  std::size_t tokens() const { return tokens_; }

  /// Makes room for `tokens` tokens in all, so that writing them takes no further blocks.
  /// Errors: out_of_budget, when the store has too few free blocks; nothing is changed then.
  Result<void> reserve(std::size_t tokens);

  /// That the next `rows` tokens will be written, for which room is reserved: their blocks are in
  /// memory then. Errors: those of Store::give_frame.
  Result<void> prepare(std::size_t rows);

  /// The tile of one layer that holds this token, for writing; `token` must not be below tokens(),
  /// room must be prepared, and the layer must store keys and values of its own. The slot is
  /// token % kTileTokens.
  std::byte* tile_for_write(std::size_t layer, std::size_t token);

  /// What a recurrent layer has of the chunk with this number; room must be prepared. That which
  /// token tokens() is in has its state, and what was kept of the tokens before; a mixer writes
  /// what is to be kept of the rows of the sweep, and at the end of each chunk the state of the
  /// next, wherever that is not null. It changes nothing that stands there of committed tokens.
  RecurrentChunk chunk(std::size_t layer, std::size_t number) const;

  /// Declares the next tokens, which are these, complete in all layers. Blocks that are full now
  /// are quantized, where the store does that, and sealed.
  void commit(std::span<const TokenId> tokens);

  /// The first token that the next row of a layer sees.
  std::size_t first_seen(std::size_t layer) const;

  /// Starts a walk over the tiles that one layer reads and that hold tokens [first_token rounded
  /// down to a tile, end_token). One walk at a time; a new one takes the place of what is left of
  /// the last.
  void walk(std::size_t layer, std::size_t first_token, std::size_t end_token);

  /// Whether the walk has come to its end.
  bool walked() const { return next_tile_ == end_tile_; }

  /// The next tiles of the walk, in ascending order, as many as are in memory; none where the next
  /// is not. Valid until the next call, or the line changes.
  TileRun next_run_in_memory();
  /// The same, and where the next is not in memory, those that are read for it: inside a sweep
  /// that SweepReads was told of, and of one line after the other.
  /// Errors: io, corrupt where blocks come from disk; the line is then to be mended.
  Result<TileRun> next_run();

  /// Where the store quantizes: the tiles of one layer of a block that the rows of a sweep fill, as
  /// those behind it see them. Valid until the next call for a line of the store, or it changes.
  TileRun filled_as_seen(std::size_t layer, std::size_t block);

  /// The most tokens, up to these, that rows may go on behind: where the store quantizes, those of
  /// whole blocks, but inside of the last ones, which are held as they were written.
  std::size_t exact_below(std::size_t tokens) const;

  /// A second line with the same first `tokens` tokens: what is complete is shared, what is open is
  /// copied. Errors: out_of_budget; invalid_argument where a group has forgotten what these need,
  /// or holds their last block as codes only; io, corrupt where the tail comes from disk.
  Result<Line> fork(std::size_t tokens) const;

  /// Forgets tokens from `tokens` on, or from as far before as one of the groups needs; how many
  /// are left: fewer where the block in their middle cannot be had, as it was written. Where the
  /// store quantizes, that can be had of the last full block that the line filled itself.
  /// Errors: out_of_budget, as a shared block that becomes the open tail is copied; nothing is
  /// changed then.
  Result<std::size_t> rewind(std::size_t tokens);

  /// `rewind` to `kept`, then `reserve`; but where the store has too few blocks, counting what is
  /// given back, nothing is changed. Where `ids` are given, which the line is to hold from its
  /// beginning on, tokens behind `kept` that are stored are taken from there. How many tokens the
  /// line has then. Errors: out_of_budget.
  Result<std::size_t> restart(std::size_t kept, std::size_t tokens,
                              std::span<const TokenId> ids = {});

  /// How many tokens a line that begins with `ids` would find stored, or in this one: what
  /// `restart` would say, without reading any of it.
  std::size_t count_stored(std::span<const TokenId> ids);

  /// Whether a walk met a block that is damaged or cannot be read.
  bool is_damaged() const { return damage_.has_value(); }
  /// What that walk met: io, corrupt.
  const std::optional<Error>& damage() const { return damage_; }
  /// Forgets that block and all behind it, and reserves as much as before, or, where blocks were
  /// shared with another line and the store is full, what is left alone; how many tokens that is,
  /// behind which all is to be computed anew. `ids` as for `restart`: what else is stored is taken.
  std::size_t mend(std::span<const TokenId> ids = {});

  /// That later lines may begin as this one does up to here, which is behind tokens(): what layers
  /// that forget hold there is kept. So it is at multiples of Options::entry_tokens anyway. Holds
  /// until the line is restarted.
  void add_entry(std::size_t tokens);

  /// Stores what later lines that go on behind this one need, the open tail too, and begins to
  /// commit all of the line: a turn is over.
  void keep();

  /// The block at a place of a group.
  const BlockRef& block(std::size_t group, std::size_t index) const {
    return groups_[group][index];
  }

 private:
  void make_room(std::size_t tokens);
  bool can_make_room(std::size_t tokens) const;
  bool holds_all_for(std::size_t tokens) const;
  std::size_t needed_from(std::size_t group, std::size_t tokens) const;
  void forget();
  void seal_last();
  void name_last_chunk();
  void keep_states(std::size_t end);
  std::size_t startable_below(std::size_t tokens) const;
  bool is_entry(std::size_t tokens) const;
  std::size_t next_entry(std::size_t tokens) const;
  std::vector<std::size_t> entries_within(std::size_t rows) const;
  std::size_t block_tokens() const { return store_->options().block_tokens; }
  std::size_t tail_tokens() const { return tokens_ % block_tokens(); }
  std::span<const TokenId> tail_ids() const { return std::span(ids_).last(tail_tokens()); }
  void note_rewind(std::size_t tokens);
  BlockContent content(std::size_t group, std::size_t index, std::span<const TokenId> tokens) const;
  class StartSearch;
  bool entry_needs(std::size_t group, std::size_t block) const;
  void take_stored(std::span<const TokenId> ids);
  bool take_block(std::span<const TokenId> rest);
  void take_start(std::span<const TokenId> ids);
  void push_tiles_in_memory();

  Store* store_;
  std::vector<BlockTable> groups_;             // of the store, those of keys and values
  std::vector<StateTable> states_;             // and those of recurrent layers behind them
  std::vector<std::vector<BlockName>> names_;  // of the full blocks of all groups; with a pool
  std::size_t tokens_ = 0;
  std::size_t room_ = 0;      // tokens that blocks are reserved for
  std::vector<TokenId> ids_;  // with a pool: all tokens
  std::vector<std::size_t> entries_;
  std::size_t damaged_block_ = 0;
  std::optional<Error> damage_;

  // of the walk
  std::size_t layer_ = 0;
  std::size_t begin_tile_ = 0;
  std::size_t next_tile_ = 0;
  std::size_t end_tile_ = 0;
  std::vector<const std::byte*> tiles_;  // of a run; reserved with the blocks
};

}  // namespace ollm::kv
