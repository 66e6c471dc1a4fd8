#include "ollm/models/blocks/activations.h"

#include <algorithm>
#include <set>
#include <utility>

#include "ollm/base/check.h"
#include "ollm/base/checked_math.h"
#include "ollm/models/blocks/routing.h"

namespace ollm::models {
namespace {

// Rows that an expert computes at once, of all that chose it: enough for the products' peak, few
// enough that what stands between them is small.
constexpr std::size_t kExpertPiece = 512;

struct Sizes {
  std::size_t hidden, normed, side, q, k, v, attended, gate, up, left, positions, first_seen,
      end_seen, cosines, sines, attention_state, query_factors, projected, mixer_gate, slots, lines;
  std::size_t conv_inputs, delta_betas, delta_decays, delta_scratch, conv_lines, conv_before,
      delta_lines, delta_chunks;
  std::size_t mixed, products, routing_scratch, expert_ids, expert_weights, expert_first,
      expert_rows, expert_row_weights, used_experts, expert_in, expert_out, expert_gate, expert_up,
      expert_left;
};

// Each buffer with its size; of those that plan and loader both walk.
template <typename Visit>
Result<void> for_each_buffer(const Sizes& sizes, Activations& buffers, Visit visit) {
  const std::pair<memory::Buffer*, std::size_t> all[] = {
      {&buffers.hidden, sizes.hidden},
      {&buffers.normed, sizes.normed},
      {&buffers.side, sizes.side},
      {&buffers.q, sizes.q},
      {&buffers.k, sizes.k},
      {&buffers.v, sizes.v},
      {&buffers.attended, sizes.attended},
      {&buffers.gate, sizes.gate},
      {&buffers.up, sizes.up},
      {&buffers.left, sizes.left},
      {&buffers.positions, sizes.positions},
      {&buffers.first_seen, sizes.first_seen},
      {&buffers.end_seen, sizes.end_seen},
      {&buffers.cosines, sizes.cosines},
      {&buffers.sines, sizes.sines},
      {&buffers.attention_state, sizes.attention_state},
      {&buffers.query_factors, sizes.query_factors},
      {&buffers.projected, sizes.projected},
      {&buffers.mixer_gate, sizes.mixer_gate},
      {&buffers.slots, sizes.slots},
      {&buffers.lines, sizes.lines},
      {&buffers.conv_inputs, sizes.conv_inputs},
      {&buffers.delta_betas, sizes.delta_betas},
      {&buffers.delta_decays, sizes.delta_decays},
      {&buffers.delta_scratch, sizes.delta_scratch},
      {&buffers.conv_lines, sizes.conv_lines},
      {&buffers.conv_before, sizes.conv_before},
      {&buffers.delta_lines, sizes.delta_lines},
      {&buffers.delta_chunks, sizes.delta_chunks},
      {&buffers.mixed, sizes.mixed},
      {&buffers.products, sizes.products},
      {&buffers.routing_scratch, sizes.routing_scratch},
      {&buffers.expert_ids, sizes.expert_ids},
      {&buffers.expert_weights, sizes.expert_weights},
      {&buffers.expert_first, sizes.expert_first},
      {&buffers.expert_rows, sizes.expert_rows},
      {&buffers.expert_row_weights, sizes.expert_row_weights},
      {&buffers.used_experts, sizes.used_experts},
      {&buffers.expert_in, sizes.expert_in},
      {&buffers.expert_out, sizes.expert_out},
      {&buffers.expert_gate, sizes.expert_gate},
      {&buffers.expert_up, sizes.expert_up},
      {&buffers.expert_left, sizes.expert_left},
  };
  for (const auto& [buffer, bytes] : all) OLLM_TRY_VOID(visit(*buffer, bytes));
  return {};
}

// What the mixture of a layer takes, where it is the largest.
void grow_for_mixture(const MixtureSpec& mixture, const backend::Backend& backend, std::size_t rows,
                      Sizes& sizes) {
  const auto grow = [](std::size_t& size, std::size_t bytes) { size = std::max(size, bytes); };
  const std::size_t hidden = mixture.router.products.in;
  const std::size_t experts = mixture.router.products.out;
  const std::size_t chosen = rows * mixture.router.chosen;
  const std::size_t piece = std::min(rows, kExpertPiece);
  const auto of_piece = [&](std::size_t columns) { return piece * columns * sizeof(float); };
  grow(sizes.mixed, rows * hidden * sizeof(float));
  grow(sizes.products, rows * experts * sizeof(float));
  grow(sizes.routing_scratch, routing_floats(mixture.router) * sizeof(float));
  grow(sizes.expert_ids, chosen * sizeof(std::uint32_t));
  grow(sizes.expert_weights, chosen * sizeof(float));
  grow(sizes.expert_first, (experts + 2) * sizeof(std::uint32_t));
  grow(sizes.expert_rows, chosen * sizeof(std::uint32_t));
  grow(sizes.expert_row_weights, chosen * sizeof(float));
  grow(sizes.used_experts, experts * sizeof(std::uint32_t));
  grow(sizes.expert_in, of_piece(hidden));
  grow(sizes.expert_out, of_piece(hidden));
  grow(sizes.expert_gate, of_piece(mixture.inner));
  grow(sizes.expert_up, of_piece(2 * mixture.inner));
  grow(sizes.expert_left, backend.left_bytes(piece, mixture.inner));
  grow(sizes.left, backend.left_bytes(rows, hidden, backend::LeftRounding::none));
}

// Chunks that the rows of a sweep stand in, and of each line the one that its next row will be in:
// of a line of n rows no more than n / kDeltaChunkTokens + 3.
std::size_t delta_chunks_of(std::size_t rows) {
  return rows / backend::kDeltaChunkTokens + 3 * rows;
}

void size_delta_nets(const Composition& composition, const backend::Backend& backend,
                     std::size_t rows, Sizes& sizes) {
  const Widths width = widths(composition);
  if (width.channels == 0) return;
  sizes.conv_inputs = rows * width.channels * sizeof(float);
  sizes.delta_betas = rows * width.delta_heads * sizeof(float);
  sizes.delta_decays = sizes.delta_betas;
  sizes.conv_lines = rows * sizeof(backend::ConvLine);
  sizes.conv_before = rows * (width.taps - 1) * sizeof(const float*);
  sizes.delta_lines = rows * sizeof(backend::DeltaLine);
  sizes.delta_chunks = delta_chunks_of(rows) * sizeof(backend::DeltaChunk);
  for (const LayerSpec& layer : composition.layers)
    if (const DeltaNetSpec* mixer = delta_net_of(layer))
      sizes.delta_scratch =
          std::max(sizes.delta_scratch, backend.delta_scratch_bytes(mixer->layout));
}

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
  sizes.projected = floats(width.projected);
  sizes.mixer_gate = floats(width.mixer_gate);
  size_delta_nets(composition, backend, rows, sizes);
  sizes.slots = rows * sizeof(backend::KvSlot);
  sizes.lines = rows * sizeof(backend::AttentionLine);
  for (const LayerSpec& layer : composition.layers) {
    const AttentionSpec* mixer = attention_of(layer);
    if (mixer == nullptr) continue;
    if (mixer->query_growth) sizes.query_factors = rows * sizeof(float);
    const backend::AttentionOptions options =
        attention_options(*mixer, kv_layout(*mixer, backend.options().compute));
    sizes.attention_state =
        std::max(sizes.attention_state, backend.attention_state_bytes(options, rows));
  }
  for (const LayerSpec& layer : composition.layers)
    if (const MixtureSpec* mixture = mixture_of(layer))
      grow_for_mixture(*mixture, backend, rows, sizes);
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
  Activations none;
  (void)for_each_buffer(sizes_for(composition, backend, max_rows, feed_forward_rows), none,
                        [&](memory::Buffer&, std::size_t bytes) -> Result<void> {
                          sum += memory::charged_bytes(bytes);
                          return {};
                        });
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
  buffers.expert_piece = std::min(max_rows, kExpertPiece);
  OLLM_TRY_VOID(for_each_buffer(
      sizes, buffers, [&](memory::Buffer& buffer, std::size_t bytes) -> Result<void> {
        OLLM_TRY(buffer, memory::Buffer::make(budget, "activations", bytes));
        return {};
      }));
  return buffers;
}

SeenTokens Activations::seen_of(std::size_t window) {
  const auto found = std::find(windows.begin(), windows.end(), window);
  OLLM_CHECK(found != windows.end());
  const std::size_t at = static_cast<std::size_t>(found - windows.begin()) * seen_stride;
  return {first_seen.as<std::uint32_t>() + at, end_seen.as<std::uint32_t>() + at};
}

}  // namespace ollm::models
