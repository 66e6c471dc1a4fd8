// Blocks of keys and values in the packed layout of backend/, reference-counted, group by group of
// layers that store alike: in frames of memory, on disk, or in both. Leaves to others: which blocks
// make a line (line.h), in which order a sweep reads those that are on disk (sweep_reads.h), the
// files (pool.h), what is written into a slot and how attention folds (backend/), which strategy is
// chosen (plan/).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "ollm/backend/kv_codes.h"
#include "ollm/base/result.h"
#include "ollm/base/sha256.h"
#include "ollm/base/token_id.h"
#include "ollm/io/read_queue.h"
#include "ollm/kv/block_writer.h"
#include "ollm/kv/options.h"
#include "ollm/kv/pool.h"
#include "ollm/memory/budget.h"
#include "ollm/memory/buffer.h"

namespace ollm::kv {

class Store;
class SweepReads;

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
  std::uint32_t group() const { return group_; }

 private:
  friend class Store;
  BlockRef(Store* store, std::uint32_t group, std::uint32_t index)
      : store_(store), group_(group), index_(index) {}

  Store* store_ = nullptr;
  std::uint32_t group_ = 0;
  std::uint32_t index_ = 0;
};

/// What a block is called: known by now, or as soon as the fingerprint is. A name is made from the
/// one before it and from tokens, so that a line has the names of all its blocks, be they stored,
/// forgotten, or never there.
struct BlockName {
  Digest id;
  std::uint32_t to_come = 0;  // 0: it is `id`; else which of those that wait for the fingerprint

  friend bool operator==(const BlockName&, const BlockName&) = default;
};

/// What a block holds, and where in its line.
struct BlockContent {
  BlockName parent;  // the name of the block before it, or the root
  BlockName name;
  std::size_t position = 0;
  std::span<const TokenId> tokens;
  bool kept = true;  // for later lines, where the store keeps blocks at all
};

/// Where what a layer stores stands: in blocks of which group, and where inside.
struct LayerPlace {
  std::size_t group = 0;
  std::size_t index = 0;       // of the layer among those of its group
  std::size_t offset = 0;      // of the layer's part in a block
  std::size_t tile_bytes = 0;  // from one tile to the next
  bool stores = true;          // else what stands there is an earlier layer's
};

/// What stores read and wrote since they were made.
struct StoreCounters {
  std::uint64_t bytes_read = 0;
  std::uint64_t bytes_written = 0;
  std::uint64_t corrupt_blocks = 0;  // that were not what their checksums say, or unreadable
  double wait_s = 0;                 // that sweeps slept, as the disk was not there yet
};

/// All blocks of one loaded model. Layers that store alike are a group: their tokens stand in the
/// same blocks, which come and go together. Groups of recurrent layers come behind those of keys
/// and values; their blocks are chunks, always in memory, and what of them is stored are states at
/// entries. One thread at a time; must outlive its
/// lines.
///
/// A block is open while tokens are written into it, then sealed and never written again. With a
/// pool, sealed blocks are written to disk behind the sweep by a thread of the store, and those
/// for which there are not enough frames are read from there, layer by layer, in each sweep.
class Store {
 public:
  /// Where blocks go that are not in memory, and that are kept; both null without Options::pool.
  /// They must outlive the store.
  struct Disk {
    Pool* pool = nullptr;
    io::ReadQueue* reads = nullptr;
  };

  /// Charges frames and ring to the budget at once, so that the token loop needs none.
  /// Errors: out_of_budget; unsupported for a strategy that is not built.
  static Result<std::unique_ptr<Store>> make(Options options, memory::Budget& budget,
                                             const Disk& disk);
  static Result<std::unique_ptr<Store>> make(Options options, memory::Budget& budget) {
    return make(std::move(options), budget, {});
  }
  /// Waits until what was sealed is written, and committed where its name is known.
  ~Store();

  const Options& options() const { return options_; }
  std::size_t groups() const { return groups_.size(); }
  /// Of them those of keys and values, which come first.
  std::size_t tables() const { return tables_; }
  std::size_t free_blocks(std::size_t group) const { return groups_[group].free.size(); }
  /// Tokens of a full block of a group.
  std::size_t block_tokens(std::size_t group) const { return groups_[group].block_tokens; }
  /// Whether lines forget blocks of a group: those outside its window, or earlier chunks.
  bool forgets(std::size_t group) const { return groups_[group].forgets; }
  /// Whether they do so of some group.
  bool forgets_some() const;
  std::size_t window(std::size_t group) const { return groups_[group].of.window; }
  const LayerPlace& place(std::size_t layer) const { return places_[layer]; }
  /// Bytes of one layer of a block, and layers, of a group.
  std::size_t part_bytes(std::size_t group) const { return groups_[group].part_bytes; }
  std::size_t layers_of(std::size_t group) const { return groups_[group].layers; }

  // What blocks are in memory -----------------------------------------------------------------

  /// An open block, zeroed. There must be a free one. It has a frame where the store has frames for
  /// all blocks; else `give_frame` gives it one.
  BlockRef take(std::size_t group);
  /// An open block with the same bytes, in a frame. There must be a free one.
  /// Errors: those of give_frame; io, corrupt where they come from disk: it is then `damaged`.
  Result<BlockRef> copy(const BlockRef& block);
  /// Whether it has a frame in which these first layers' parts are.
  bool in_memory(const BlockRef& block, std::size_t layers) const;
  bool in_memory(const BlockRef& block) const;
  bool has_frame(const BlockRef& block) const;
  /// The bytes of a block with a frame; they may be written only while it is open and one reference
  /// is held.
  std::byte* data(const BlockRef& block);

  /// A frame for a block that has none, taken from a sealed block of the highest position where
  /// none is free: lines are walked from their beginning in every sweep, so that any share of them
  /// that stays is as good as another. Waits for writes that must be done before.
  /// Errors: out_of_budget where no block can give its frame; io, out_of_budget of the write.
  Result<void> give_frame(const BlockRef& block);
  /// The same where a frame is free beyond those that sweeps need; whether it was given.
  bool give_spare_frame(const BlockRef& block);

  /// Reads what is not yet in the frame of a sealed block, which gets one.
  /// Errors: those of give_frame; io, corrupt: the block is then `damaged`.
  Result<void> load(const BlockRef& block);

  /// out_of_budget: that a group has too few free blocks.
  Error full() const;

  // What later rows see -----------------------------------------------------------------------

  /// Whether a full block holds, from its sealing on, what its int8 codes give, and not what was
  /// written into it.
  bool quantizes() const { return quantizes_; }
  /// Makes that of an open block with a frame.
  void quantize(const BlockRef& block);
  /// The same of one layer's part, and the block stays as it is. Valid until the next call.
  const std::byte* quantized_part(const BlockRef& block, const LayerPlace& place);

  // What is kept ------------------------------------------------------------------------------

  bool has_pool() const { return disk_.pool != nullptr; }
  /// From now on blocks have names, and stored ones are found. Errors: those of
  /// Pool::set_fingerprint.
  Result<void> set_fingerprint(const Digest& fingerprint);
  bool knows_fingerprint() const { return fingerprint_.has_value(); }

  /// The parent of a line's first block.
  BlockName root() const { return {root_}; }
  /// The name of the block that holds these tokens behind one of that name.
  BlockName name_behind(std::size_t group, const BlockName& parent,
                        std::span<const TokenId> tokens);

  /// That no token is written into the block any more. `before`: the block before it in its line,
  /// behind which it stands best on disk; or none. Begins to write it.
  void seal(const BlockRef& block, const BlockRef& before, const BlockContent& content);
  /// That a sealed block is to be kept, which so far was not.
  void keep(const BlockRef& block, const BlockContent& content);
  bool sealed(const BlockRef& block) const;
  /// The tokens of a sealed block.
  std::span<const TokenId> tokens(const BlockRef& block) const;
  /// Opens a sealed block of one reference again, so that tokens behind its first ones may be
  /// written. Errors: those of load; it stays sealed then.
  Result<void> open_again(const BlockRef& block);
  /// Stores the first tokens of an open block, which are fewer than it has room for, and waits
  /// until they are written: the block may then be written into again.
  void keep_tail(const BlockRef& block, const BlockRef& before, const BlockContent& content);
  /// Stores the states behind these tokens, the last of their chunk: `block` is the chunk that goes
  /// on behind them. `open`: it will be written into.
  void keep_state(const BlockRef& block, const BlockContent& content, bool open);
  /// Begins to write what was sealed and is to be kept, and was not written behind the sweep.
  void write_sealed();
  /// Begins to make all that was written durable and findable.
  void commit();
  /// Waits until nothing is being written; with `commit` also until that is done.
  void wait_for_writes();
  void wait_for_commits();

  /// A stored block behind `parent` that begins with tokens of these, and how many; its block is
  /// sealed and not in memory. Nothing where no block is free.
  struct Found {
    BlockRef block;
    std::size_t tokens = 0;
    bool whole = false;  // of block_tokens
  };
  std::optional<Found> find(std::size_t group, const BlockName& parent, std::size_t position,
                            std::span<const TokenId> tokens);
  /// How many of these tokens it would find, without taking the block.
  std::size_t count_stored(std::size_t group, const BlockName& parent,
                           std::span<const TokenId> tokens);
  /// Takes in what other processes stored.
  void refresh();

  /// Whether the bytes of one layer of a sealed block are what was written.
  bool holds(const BlockRef& block, std::size_t layer, const std::byte* bytes) const;
  /// That it was read and does not hold, or could not be read: it is set aside and counted.
  void damaged(const BlockRef& block);
  /// The first reason why something was not stored that was to be.
  const std::optional<Error>& write_error() const { return first_write_error_; }

  SweepReads* sweep_reads() { return reads_.get(); }
  StoreCounters counters() const;

 private:
  friend class BlockRef;
  friend class SweepReads;

  enum class OnDisk : std::uint8_t { no, queued, yes, failed };
  // One block, in memory or not.
  struct Block {
    std::uint32_t references = 0;
    std::int32_t frame = -1;
    std::uint32_t loaded = 0;     // layers whose parts are in the frame
    std::uint32_t requested = 0;  // of which a read was begun
    std::uint32_t tokens = 0;     // sealed with so many; 0: open
    std::uint32_t position = 0;   // in its line
    std::int32_t before = -1;     // the block before it, as long as that is one of its line
    OnDisk on_disk = OnDisk::no;
    bool committed = false;
    bool lost = false;         // it or a block before it could not be stored
    bool held = false;         // in the pool, which does not evict it meanwhile
    std::uint64_t record = 0;  // its pending record, 0: none
    BlockName name;            // of a sealed block that may be found again
    BlockPlace place;          // where it is on disk
  };
  struct Group {
    LayerOptions of;  // each of its layers
    std::size_t block_tokens = 0;
    BlockKind kind = BlockKind::keys_and_values;
    bool forgets = false;
    bool spills = false;  // has fewer frames than blocks
    std::size_t frames = 0;
    std::size_t layers = 0;
    std::size_t part_bytes = 0;  // of one layer of a block, whole pages
    std::size_t full_bytes = 0;  // of one layer of a full block on disk
    std::size_t block_bytes = 0;
    std::size_t first_byte = 0;  // in storage_
    std::vector<Block> blocks;
    std::vector<std::uint32_t> free;         // blocks
    std::vector<std::uint32_t> free_frames;  // frames
    std::vector<bool> dirty;                 // frames that were used before
    std::vector<TokenId> tokens;             // [blocks, block_tokens], of sealed blocks
    std::vector<Checksum> checksums;         // [blocks, layers]
  };
  // A block on its way into the pool: by itself, so that its block may go or be opened again.
  struct Pending {
    std::uint64_t number = 0;
    BlockName parent;
    BlockName name;
    bool written = false;
    bool in_commit = false;
    std::uint32_t group = 0;
    std::vector<TokenId> tokens;
    BlockPlace place;
    std::vector<Checksum> checksums;
  };
  struct UnderWay {
    std::uint64_t ticket = 0;
    bool commit = false;
    BlockRef block;                      // of a write; none for a tail
    BlockRef held;                       // that may not change meanwhile
    std::vector<std::uint64_t> records;  // that are written or committed
  };

  explicit Store(Options options, const Disk& disk);
  std::size_t group_of(const LayerOptions& layer);
  void place_layer(std::size_t layer);
  void make_blocks();

  Block& at(const BlockRef& ref) { return groups_[ref.group_].blocks[ref.index_]; }
  const Block& at(const BlockRef& ref) const { return groups_[ref.group_].blocks[ref.index_]; }
  void release(std::uint32_t group, std::uint32_t index);
  std::byte* frame_data(const Group& group, std::int32_t frame);
  Result<void> read_part(const BlockRef& block, std::size_t layer, std::byte* out);
  std::optional<std::uint32_t> victim(const Group& group, bool written) const;
  void begin_write(std::uint32_t group, std::uint32_t index);
  Result<void> free_a_frame(std::uint32_t group);
  bool writes_behind() const;
  bool will_lose_frame(const Group& group) const;

  const Digest* id_of(const BlockName& name) const;
  std::uint64_t add_pending(std::uint32_t group, const BlockContent& content);
  Pending* find_pending(std::uint64_t number);
  std::optional<Pool::Match> match_behind(std::uint32_t group, const BlockName& parent,
                                          std::span<const TokenId> tokens);
  void take_record(const BlockRef& block, const BlockRecord& record);
  bool holds_codes(const Group& group, std::size_t tokens) const;
  std::uint32_t stored_bytes(const Group& group, std::size_t tokens) const;
  bool take_stored(const BlockRef& block, const BlockContent& content);
  void add_record(const BlockRef& block, const BlockContent& content);
  bool fits(const Group& group, const Pool::Match& match) const;
  void give_up(Block& block);
  void lose(std::span<const std::uint64_t> records);
  BlockWriter::Write write_of(const BlockRef& block, const Block* before, std::size_t tokens);
  void begin(const BlockWriter::Write& write, BlockRef block, std::uint64_t record);
  void take_done();
  void finish(const BlockWriter::Done& done);
  void finish_write(const UnderWay& of, const BlockWriter::Done& done);
  void finish_record(Pending& pending, const BlockPlace& place,
                     std::span<const Checksum> checksums);
  void finish_commit(const UnderWay& of, const BlockWriter::Done& done);
  bool writing() const;
  void commit_if_due();
  Checksum* checksums_of(std::uint32_t group, std::uint32_t index) {
    return groups_[group].checksums.data() + std::size_t{index} * groups_[group].layers;
  }

  Options options_;
  const Disk disk_;
  std::vector<LayerPlace> places_;  // of each layer
  std::vector<Group> groups_;
  std::size_t tables_ = 0;  // of groups_, those of keys and values
  memory::Buffer storage_;
  std::byte* frames_ = nullptr;  // in storage_, at a page border
  const bool quantizes_;
  const backend::KvCodes codes_;
  memory::Buffer code_memory_;    // CodeMemory: seen, decoded, encoded
  std::byte* decoded_ = nullptr;  // in it
  std::unique_ptr<SweepReads> reads_;

  // of what is kept
  std::optional<Digest> fingerprint_;
  Digest root_;
  // A name that waits for the fingerprint, and what it will be made from.
  struct NameToCome {
    std::uint32_t group = 0;
    BlockName parent;
    std::vector<TokenId> tokens;
    Digest id;
  };
  std::vector<NameToCome> to_come_;
  std::vector<Pending> pending_;  // in the order of sealing
  std::uint64_t next_record_ = 1;
  std::vector<UnderWay> under_way_;
  std::uint64_t uncommitted_bytes_ = 0;
  double uncommitted_since_ = 0;
  std::optional<Error> write_error_;  // why nothing is stored at present
  std::optional<Error> first_write_error_;
  std::uint64_t corrupt_blocks_ = 0;  // those that the pool does not count, as it has no name
  std::uint64_t loaded_bytes_ = 0;    // by load

  std::unique_ptr<BlockWriter> writer_;  // last: ends first
};

}  // namespace ollm::kv
