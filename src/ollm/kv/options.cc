#include "ollm/kv/options.h"

#include <algorithm>

#include "ollm/base/checked_math.h"
#include "ollm/memory/buffer.h"

namespace ollm::kv {

using backend::kTileTokens;

bool forgets(const Options& options, const LayerOptions& layer) {
  return layer.window != 0 && options.sweep_rows != 0;
}

std::size_t blocks_of(const Options& options, const LayerOptions& layer) {
  if (!forgets(options, layer)) return options.max_blocks;
  // What the oldest row sees that may come, and the rows' own; these may begin and end inside
  // blocks, and one may still be on its way to disk.
  const std::size_t tokens = layer.window + kRewindTokens + options.sweep_rows;
  const std::size_t blocks = blocks_for_tokens(options, tokens) + 3;
  return std::min(options.max_blocks, blocks * options.lines);
}

std::size_t kept_blocks_of(const Options& options, const LayerOptions& layer) {
  if (!forgets(options, layer)) return options.max_blocks;
  // A line has the entries of its last prompt and turn, too. Windows that meet share blocks.
  const std::size_t tokens = options.max_blocks / options.lines * options.block_tokens;
  const std::size_t entries = tokens / options.entry_tokens + 2;
  const std::size_t blocks = blocks_for_tokens(options, layer.window) + 1;
  return std::min(options.max_blocks, entries * blocks * options.lines);
}

std::size_t frames_of(const Options& options, const LayerOptions& layer) {
  return std::min(options.frames, blocks_of(options, layer));
}

std::size_t part_bytes(const Options& options, const LayerOptions& layer) {
  return round_up(layer.layout.tile_bytes() * (options.block_tokens / kTileTokens),
                  io::File::kDirectAlignment);
}

std::uint64_t block_bytes(const Options& options) {
  std::uint64_t bytes = 0;
  for (const LayerOptions& layer : options.layers)
    if (!layer.of_layer) bytes += part_bytes(options, layer);
  return bytes;
}

std::size_t blocks_for_tokens(const Options& options, std::size_t tokens) {
  return ceil_div(tokens, options.block_tokens);
}

std::size_t least_frames(const Options& options, std::size_t rows, std::size_t lines) {
  // Each line has a block that its rows begin in, and rows may end in one more than they fill.
  return std::min(options.max_blocks, ceil_div(rows, options.block_tokens) + 2 * lines);
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

std::uint64_t table_bytes(const Options& options) {
  if (!options.pool) return 0;
  std::uint64_t bytes = 0;
  std::vector<const LayerOptions*> groups;
  constexpr std::uint64_t kBlock = 256;  // place, names, state
  for (const LayerOptions& layer : options.layers) {
    if (layer.of_layer) continue;
    const std::uint64_t blocks = blocks_of(options, layer);
    bytes += sizeof(Checksum) * blocks;
    const bool known = std::any_of(groups.begin(), groups.end(), [&](const LayerOptions* group) {
      return group->layout == layer.layout && group->window == layer.window;
    });
    if (known) continue;
    groups.push_back(&layer);
    bytes += (kBlock + options.block_tokens * sizeof(TokenId)) * blocks;
    // Lines have the names of blocks that they forgot, too.
    bytes += sizeof(Digest) * (options.max_blocks - blocks);
  }
  return bytes;
}

}  // namespace ollm::kv
