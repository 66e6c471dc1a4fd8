// For tests: the options of a store that a plan would not make, as small as they like. Leaves to
// others: what the plan chooses (plan/kv_ways.h).
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ollm/kv/options.h"

namespace ollm::kv {

struct SmallStore {
  std::vector<LayerOptions> layers;
  std::optional<std::string> strategy;  // nothing: paged where there is a pool, else resident
  std::size_t block_tokens = 64;
  std::size_t tokens = 2048;  // of all lines
  std::size_t lines = 1;
  std::size_t sweep_rows = 1;
  bool forgets = false;  // what lies outside the windows of layers
  std::size_t entry_tokens = Options().entry_tokens;
  /// With it blocks are written, and those beyond so many frames, or beyond the fewest that sweeps
  /// run with, are on disk alone.
  std::optional<PoolOptions> pool;
  std::size_t frames = 0;
};

inline Options options_of(SmallStore store) {
  Options out;
  out.layers = std::move(store.layers);
  out.strategy = store.strategy.value_or(store.pool ? "paged" : "resident");
  out.block_tokens = store.block_tokens;
  out.max_blocks = blocks_for_tokens(out, store.tokens) + copies_of_line(out) * store.lines;
  out.lines = store.lines;
  out.entry_tokens = store.entry_tokens;
  if (store.forgets) out.sweep_rows = store.sweep_rows;
  if (!store.pool) return out;
  out.pool = std::move(store.pool);
  out.tail_frames = least_frames(out, store.sweep_rows, store.lines);
  out.frames = std::min(out.max_blocks, std::max(store.frames, out.tail_frames));
  if (!out.spills() && !quantizes(out)) return out;
  out.ring_slots = 3;
  for (const LayerOptions& layer : out.layers)
    if (!layer.recurrent) out.slot_bytes = std::max(out.slot_bytes, 2 * part_bytes(out, layer));
  return out;
}

}  // namespace ollm::kv
