#include "ollm/kv/options.h"

#include <algorithm>

#include "ollm/base/checked_math.h"
#include "ollm/memory/buffer.h"

namespace ollm::kv {

using backend::kTileTokens;

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
  return block_bytes(options) * options.frames + (options.pool ? io::File::kDirectAlignment : 0);
}

std::uint64_t ring_bytes(const Options& options) {
  if (options.ring_slots == 0) return 0;
  return std::uint64_t{options.ring_slots} * options.slot_bytes + io::File::kDirectAlignment;
}

std::uint64_t table_bytes(const Options& options) {
  if (!options.pool) return 0;
  std::uint64_t bytes = 0;
  std::vector<const LayerOptions*> groups;
  for (const LayerOptions& layer : options.layers) {
    if (layer.of_layer) continue;
    bytes += sizeof(Checksum);
    const bool known = std::any_of(groups.begin(), groups.end(), [&](const LayerOptions* group) {
      return group->layout == layer.layout && group->window == layer.window;
    });
    if (!known) groups.push_back(&layer);
  }
  constexpr std::uint64_t kBlock = 256;  // place, names, state
  bytes += groups.size() * (kBlock + options.block_tokens * sizeof(TokenId));
  return bytes * options.max_blocks;
}

}  // namespace ollm::kv
