// What the plan chose for keys and values, and how many bytes that takes. Leaves to others: who
// holds them (store.h), which strategy it is and why (plan/).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ollm/backend/kv_layout.h"
#include "ollm/kv/pool.h"

namespace ollm::kv {

/// Tokens of a chunk of recurrent layers: their states are taken up at multiples of it.
inline constexpr std::size_t kChunkTokens = 64;

/// What a recurrent layer keeps of a line instead of keys and values. Its mixer works chunk by
/// chunk from the state at a chunk's beginning and what it keeps of the chunk's rows, be they of
/// this sweep or of earlier ones: then no bit depends on how a line came to where it is.
struct RecurrentLayout {
  std::size_t state_bytes = 0;  // at the beginning of a chunk; that of a line is all zeros
  std::size_t row_bytes = 0;    // of each row of a chunk

  friend bool operator==(const RecurrentLayout&, const RecurrentLayout&) = default;
};

/// What one layer stores.
struct LayerOptions {
  backend::KvLayout layout;
  std::size_t window = 0;  // tokens that may still be read; 0: all
  /// Reads the keys and values of this earlier layer, which stores its own, and stores none.
  std::optional<std::size_t> of_layer;
  /// It is recurrent, and the others say nothing.
  std::optional<RecurrentLayout> recurrent = {};
};

/// Whether two layers store alike: their groups are one.
bool store_alike(const LayerOptions& a, const LayerOptions& b);

struct Options {
  std::string strategy = "resident";
  std::vector<LayerOptions> layers;
  /// A multiple of backend::kTileTokens. Blocks are what is shared, kept and moved; the fold tile
  /// does not depend on it, so that no bit does.
  std::size_t block_tokens = 64;
  /// Blocks that may exist at once in each group of layers, over all lines.
  std::size_t max_blocks = 0;
  /// Rows of a sweep, and lines that there are at once: layers with a window hold what these may
  /// still see and no more. 0 rows: they hold all tokens.
  std::size_t sweep_rows = 0;
  std::size_t lines = 1;
  /// Of them in memory at once, the others are on disk; max_blocks: all.
  std::size_t frames = 0;
  /// Of them those that the rows of a sweep are written into (least_frames); the others keep the
  /// beginnings of lines.
  std::size_t tail_frames = 0;
  /// What is read ahead of blocks that are not in memory; 0 slots where all are.
  std::size_t ring_slots = 0;
  std::size_t slot_bytes = 0;  // a multiple of io::File::kDirectAlignment
  /// Where blocks stand on disk; nothing: nowhere.
  std::optional<PoolOptions> pool;
  /// Where layers forget, a stored line may start at the multiples of so many tokens, beside the
  /// ends of prompts and turns (Line::add_entry): of their blocks the pool keeps what these need.
  std::size_t entry_tokens = 4096;
  /// Whether blocks that were computed are committed to the pool and found there again; else it
  /// holds only what memory has no room for.
  bool reuses = true;

  /// Whether there may be more blocks than memory has room for.
  bool spills() const { return frames < max_blocks; }
};

/// Tokens that a line may be rewound by whatever its layers forget.
inline constexpr std::size_t kRewindTokens = 64;

/// The first token that a row behind `tokens` others sees; 0 for a window of 0, which is none.
constexpr std::size_t first_seen(std::size_t window, std::size_t tokens) {
  return window != 0 && tokens + 1 > window ? tokens + 1 - window : 0;
}

/// Whether a layer forgets what lies outside its window, or is recurrent.
bool forgets(const Options& options, const LayerOptions& layer);
/// Blocks that may exist at once for one layer: max_blocks, or fewer where it forgets. A recurrent
/// layer has a block for each chunk of which something is still needed.
std::size_t blocks_of(const Options& options, const LayerOptions& layer);
/// Of them in memory at once.
std::size_t frames_of(const Options& options, const LayerOptions& layer);

/// Blocks of one layer that the pool keeps of lines that are full: max_blocks, or those that
/// entries need where it forgets.
std::size_t kept_blocks_of(const Options& options, const LayerOptions& layer);

/// Bytes of one block in one layer, whole pages.
std::size_t part_bytes(const Options& options, const LayerOptions& layer);
/// Where what is kept of rows stands in a recurrent layer's block, behind the state.
std::size_t rows_offset(const RecurrentLayout& layout);
/// Bytes of `block_tokens` tokens in all layers that keep keys and values: of one block of each
/// group.
std::uint64_t block_bytes(const Options& options);

/// Whether rows see the blocks before their own as int8 codes give them (docs/cache.md).
bool quantizes(const Options& options);
/// The same bytes as they stand on disk, where they are codes if the strategy quantizes.
std::size_t stored_part_bytes(const Options& options, const LayerOptions& layer);
std::uint64_t stored_block_bytes(const Options& options);

/// Blocks that a line of this many tokens needs in each group.
std::size_t blocks_for_tokens(const Options& options, std::size_t tokens);
/// Beside them, of each line: the exact copy of its last full block, where the strategy quantizes.
std::size_t copies_of_line(const Options& options);

/// The fewest frames with which sweeps of `rows` rows of `lines` lines run: those that the rows of
/// a sweep are written into.
std::size_t least_frames(const Options& options, std::size_t rows, std::size_t lines);

/// Bytes of all frames of all groups.
std::uint64_t frames_bytes(const Options& options);
/// Bytes of the ring; 0 where there is none.
std::uint64_t ring_bytes(const Options& options);
/// Where the strategy quantizes, the memory beside frames and ring: a part of a block as rows of
/// later blocks see it; what one slot of the ring decodes into; a block's codes, to be written.
struct CodeMemory {
  std::uint64_t seen = 0;
  std::uint64_t decoded = 0;
  std::uint64_t encoded = 0;
  std::uint64_t all() const { return seen + decoded + encoded; }
};
CodeMemory code_memory(const Options& options);
/// Bytes of what is known of each block: its tokens, its place, its checksums; 0 without a pool.
std::uint64_t table_bytes(const Options& options);

}  // namespace ollm::kv
