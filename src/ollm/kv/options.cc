#include "ollm/kv/options.h"

#include <algorithm>

#include "ollm/backend/kv_codes.h"
#include "ollm/base/checked_math.h"
#include "ollm/kv/strategies.h"
#include "ollm/memory/buffer.h"

namespace ollm::kv {

using backend::kTileTokens;

bool store_alike(const LayerOptions& a, const LayerOptions& b) {
  if (a.recurrent || b.recurrent) return a.recurrent == b.recurrent;
  return a.layout == b.layout && a.window == b.window;
}

bool forgets(const Options& options, const LayerOptions& layer) {
  return layer.recurrent || (layer.window != 0 && options.sweep_rows != 0);
}

namespace {

// The chunks that a line may be rewound into, and those that a sweep ends in; of entries, which are
// on their way to disk, one of each line's prompt and turn, and what a sweep passes.
std::size_t chunks_of(const Options& options) {
  constexpr std::size_t kOfALine = 4;
  const bool stored = options.pool && options.reuses;
  const std::size_t entries =
      stored ? options.lines + options.sweep_rows / options.entry_tokens + 1 : 0;
  return kOfALine * options.lines + entries;
}

}  // namespace

std::size_t blocks_of(const Options& options, const LayerOptions& layer) {
  if (layer.recurrent) return chunks_of(options);
  if (!forgets(options, layer)) return options.max_blocks;
  // What the oldest row sees that may come, and the rows' own; these may begin and end inside
  // blocks, and one may still be on its way to disk.
  const std::size_t tokens = layer.window + kRewindTokens + options.sweep_rows;
  const std::size_t blocks = blocks_for_tokens(options, tokens) + 3 + copies_of_line(options);
  return std::min(options.max_blocks, blocks * options.lines);
}

std::size_t kept_blocks_of(const Options& options, const LayerOptions& layer) {
  if (!forgets(options, layer)) return options.max_blocks;
  // A line has the entries of its last prompt and turn, too. Windows that meet share blocks.
  const std::size_t tokens = options.max_blocks / options.lines * options.block_tokens;
  const std::size_t entries = tokens / options.entry_tokens + 2;
  if (layer.recurrent) return entries * options.lines;
  const std::size_t blocks = blocks_for_tokens(options, layer.window) + 1;
  return std::min(options.max_blocks, entries * blocks * options.lines);
}

std::size_t frames_of(const Options& options, const LayerOptions& layer) {
  const std::size_t blocks = blocks_of(options, layer);
  return layer.recurrent ? blocks : std::min(options.frames, blocks);
}

std::size_t rows_offset(const RecurrentLayout& layout) {
  return round_up(layout.state_bytes, io::File::kDirectAlignment);
}

std::size_t part_bytes(const Options& options, const LayerOptions& layer) {
  if (layer.recurrent) {
    return rows_offset(*layer.recurrent) +
           round_up(kChunkTokens * layer.recurrent->row_bytes, io::File::kDirectAlignment);
  }
  return round_up(layer.layout.tile_bytes() * (options.block_tokens / kTileTokens),
                  io::File::kDirectAlignment);
}

std::uint64_t block_bytes(const Options& options) {
  std::uint64_t bytes = 0;
  for (const LayerOptions& layer : options.layers)
    if (!layer.of_layer && !layer.recurrent) bytes += part_bytes(options, layer);
  return bytes;
}

bool quantizes(const Options& options) {
  const Strategy* const strategy = find_strategy(options.strategy);
  return strategy != nullptr && strategy->encoding == ColdTierEncoding::quantized;
}

std::size_t stored_part_bytes(const Options& options, const LayerOptions& layer) {
  if (layer.recurrent || !quantizes(options)) return part_bytes(options, layer);
  return round_up(backend::code_bytes(layer.layout) * (options.block_tokens / kTileTokens),
                  io::File::kDirectAlignment);
}

std::uint64_t stored_block_bytes(const Options& options) {
  std::uint64_t bytes = 0;
  for (const LayerOptions& layer : options.layers)
    if (!layer.of_layer && !layer.recurrent) bytes += stored_part_bytes(options, layer);
  return bytes;
}

std::size_t blocks_for_tokens(const Options& options, std::size_t tokens) {
  return ceil_div(tokens, options.block_tokens);
}

std::size_t copies_of_line(const Options& options) { return quantizes(options) ? 1 : 0; }

std::size_t least_frames(const Options& options, std::size_t rows, std::size_t lines) {
  // Each line has a block that its rows begin in, and rows may end in one more than they fill.
  return std::min(options.max_blocks,
                  ceil_div(rows, options.block_tokens) + (2 + copies_of_line(options)) * lines);
}

std::uint64_t frames_bytes(const Options& options) {
  std::uint64_t bytes = options.pool ? io::File::kDirectAlignment : 0;
  for (const LayerOptions& layer : options.layers)
    if (!layer.of_layer)
      bytes += std::uint64_t{part_bytes(options, layer)} * frames_of(options, layer);
  return bytes;
}

std::uint64_t ring_bytes(const Options& options) {
  if (options.ring_slots == 0) return 0;
  return std::uint64_t{options.ring_slots} * options.slot_bytes + io::File::kDirectAlignment;
}

CodeMemory code_memory(const Options& options) {
  CodeMemory out;
  if (!quantizes(options)) return out;
  for (const LayerOptions& layer : options.layers) {
    if (layer.of_layer || layer.recurrent) continue;
    const std::uint64_t part = part_bytes(options, layer);
    const std::uint64_t stored = stored_part_bytes(options, layer);
    out.seen = std::max(out.seen, part);
    if (!options.pool) continue;
    out.decoded = std::max(out.decoded, options.slot_bytes / stored * part);
    out.encoded += stored;
  }
  return out;
}

std::uint64_t table_bytes(const Options& options) {
  if (!options.pool) return 0;
  constexpr std::uint64_t kBlock = 256;  // place, names, state
  const std::uint64_t tokens = std::uint64_t{options.max_blocks} * options.block_tokens;
  std::uint64_t bytes = tokens * sizeof(TokenId);  // of the lines
  std::vector<const LayerOptions*> groups;
  for (const LayerOptions& layer : options.layers) {
    if (layer.of_layer) continue;
    const std::uint64_t blocks = blocks_of(options, layer);
    bytes += sizeof(Checksum) * blocks;
    const bool known = std::any_of(groups.begin(), groups.end(), [&](const LayerOptions* group) {
      return store_alike(*group, layer);
    });
    if (known) continue;
    groups.push_back(&layer);
    const std::uint64_t step = layer.recurrent ? kChunkTokens : options.block_tokens;
    bytes += (kBlock + step * sizeof(TokenId)) * blocks;
    // Lines have the names of blocks that they forgot, too.
    bytes += sizeof(Digest) * (tokens / step - std::min(blocks, tokens / step));
  }
  return bytes;
}

}  // namespace ollm::kv
