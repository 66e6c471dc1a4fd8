#include "ollm/models/blocks/activations.h"

#include <algorithm>
#include <array>
#include <set>

#include "ollm/base/check.h"
#include "ollm/base/checked_math.h"

namespace ollm::models {
namespace {

struct Sizes {
  std::size_t hidden, normed, side, q, k, v, attended, gate, up, left, positions, first_seen,
      end_seen, cosines, sines, attention_state, slots, lines;

  std::array<std::size_t, 18> all() const {
    return {hidden, normed,    side,       q,        k,       v,     attended,        gate,  up,
            left,   positions, first_seen, end_seen, cosines, sines, attention_state, slots, lines};
  }
};

std::vector<std::size_t> distinct_windows(const Composition& composition) {
  std::set<std::size_t> windows;
  for (const LayerSpec& layer : composition.layers)
    if (const AttentionSpec* mixer = attention_of(layer)) windows.insert(mixer->window);
  return {windows.begin(), windows.end()};
}

Sizes sizes_for(const Composition& composition, const backend::Backend& backend, std::size_t rows,
                std::size_t feed_forward_rows) {
  const Widths width = widths(composition);
  const auto floats = [&](std::size_t columns) { return rows * columns * sizeof(float); };
  Sizes sizes{};
  sizes.hidden = floats(width.hidden);
  sizes.normed = floats(width.hidden);
  sizes.side = floats(width.side);
  sizes.q = floats(width.q);
  sizes.k = floats(width.k);
  sizes.v = floats(width.v);
  sizes.attended = floats(width.attended);
  sizes.gate = floats(width.intermediate);
  const std::size_t piece = std::min(rows, feed_forward_rows);
  sizes.up = piece * width.intermediate * sizeof(float);
  for (const std::size_t columns : {width.hidden, width.attended, width.intermediate})
    sizes.left = std::max(sizes.left, backend.left_bytes(rows, columns));
  const std::size_t pieces = (rows + piece - 1) / piece;
  sizes.left = std::max(sizes.left, pieces * left_piece_bytes(backend, piece, width.hidden));
  sizes.positions = rows * sizeof(std::uint32_t);
  sizes.first_seen = distinct_windows(composition).size() * rows * sizeof(std::uint32_t);
  sizes.end_seen = sizes.first_seen;
  sizes.cosines = floats(width.rotary_pairs * composition.rotaries.size());
  sizes.sines = sizes.cosines;
  sizes.slots = rows * sizeof(backend::KvSlot);
  sizes.lines = rows * sizeof(backend::AttentionLine);
  for (const LayerSpec& layer : composition.layers) {
    const AttentionSpec* mixer = attention_of(layer);
    if (mixer == nullptr) continue;
    const backend::AttentionOptions options =
        attention_options(*mixer, kv_layout(*mixer, backend.options().compute));
    sizes.attention_state =
        std::max(sizes.attention_state, backend.attention_state_bytes(options, rows));
  }
  return sizes;
}

}  // namespace

backend::AttentionOptions attention_options(const AttentionSpec& spec,
                                            const backend::KvLayout& layout) {
  backend::AttentionOptions options;
  options.heads = spec.heads;
  options.layout = layout;
  options.scale = spec.scale;
  options.soft_cap = spec.soft_cap;
  if (!spec.distance_slopes.empty()) options.distance_slopes = spec.distance_slopes.data();
  return options;
}

std::size_t left_piece_bytes(const backend::Backend& backend, std::size_t rows, std::size_t cols) {
  return round_up(backend.left_bytes(rows, cols), memory::kCacheLineBytes);
}

std::uint64_t activation_bytes(const Composition& composition, const backend::Backend& backend,
                               std::size_t max_rows, std::size_t feed_forward_rows) {
  std::uint64_t sum = 0;
  for (const std::size_t bytes : sizes_for(composition, backend, max_rows, feed_forward_rows).all())
    sum += memory::charged_bytes(bytes);
  return sum;
}

Result<Activations> Activations::make(const Composition& composition,
                                      const backend::Backend& backend, std::size_t max_rows,
                                      std::size_t feed_forward_rows, memory::Budget& budget) {
  const Sizes sizes = sizes_for(composition, backend, max_rows, feed_forward_rows);
  Activations buffers;
  buffers.feed_forward_rows = std::min(max_rows, feed_forward_rows);
  buffers.rotary_stride = max_rows * widths(composition).rotary_pairs;
  buffers.windows = distinct_windows(composition);
  buffers.seen_stride = max_rows;
  const auto make = [&](memory::Buffer& buffer, std::size_t bytes) -> Result<void> {
    OLLM_TRY(buffer, memory::Buffer::make(budget, "activations", bytes));
    return {};
  };
  OLLM_TRY_VOID(make(buffers.hidden, sizes.hidden));
  OLLM_TRY_VOID(make(buffers.normed, sizes.normed));
  OLLM_TRY_VOID(make(buffers.side, sizes.side));
  OLLM_TRY_VOID(make(buffers.q, sizes.q));
  OLLM_TRY_VOID(make(buffers.k, sizes.k));
  OLLM_TRY_VOID(make(buffers.v, sizes.v));
  OLLM_TRY_VOID(make(buffers.attended, sizes.attended));
  OLLM_TRY_VOID(make(buffers.gate, sizes.gate));
  OLLM_TRY_VOID(make(buffers.up, sizes.up));
  OLLM_TRY_VOID(make(buffers.left, sizes.left));
  OLLM_TRY_VOID(make(buffers.positions, sizes.positions));
  OLLM_TRY_VOID(make(buffers.first_seen, sizes.first_seen));
  OLLM_TRY_VOID(make(buffers.end_seen, sizes.end_seen));
  OLLM_TRY_VOID(make(buffers.cosines, sizes.cosines));
  OLLM_TRY_VOID(make(buffers.sines, sizes.sines));
  OLLM_TRY_VOID(make(buffers.attention_state, sizes.attention_state));
  OLLM_TRY_VOID(make(buffers.slots, sizes.slots));
  OLLM_TRY_VOID(make(buffers.lines, sizes.lines));
  return buffers;
}

SeenTokens Activations::seen_of(std::size_t window) {
  const auto found = std::find(windows.begin(), windows.end(), window);
  OLLM_CHECK(found != windows.end());
  const std::size_t at = static_cast<std::size_t>(found - windows.begin()) * seen_stride;
  return {first_seen.as<std::uint32_t>() + at, end_seen.as<std::uint32_t>() + at};
}

}  // namespace ollm::models
