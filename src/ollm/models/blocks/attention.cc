#include "ollm/models/blocks/attention.h"

#include <algorithm>

namespace ollm::models {
namespace {

void rotate(const SweepTools& tools, const Composition& composition, std::size_t rotary, float* x,
            std::size_t heads, std::size_t head_dim, std::size_t rows, Activations& activations) {
  const std::size_t pairs = composition.rotaries[rotary].inverse_frequencies.size();
  tools.backend.rotate(x, heads * head_dim, rows, heads, head_dim, activations.cosines_of(rotary),
                       activations.sines_of(rotary), pairs, false);
}

// Rows of heads are packed, so that a norm per head is a norm over rows * heads short rows.
void norm_heads(const SweepTools& tools, const NormSpec& spec, bool whole_row, float* x,
                std::size_t heads, std::size_t rows) {
  norm(tools, spec, x, x, whole_row ? rows : rows * heads);
}

// Keys and values of all rows, each into its line's tile.
void store(const SweepTools& tools, const backend::KvLayout& layout, std::size_t layer,
           std::span<const RowSpan> spans, Activations& activations) {
  backend::KvSlot* slots = activations.slots.as<backend::KvSlot>();
  std::size_t count = 0;
  for (const RowSpan& span : spans) {
    const std::size_t first_token = span.kv->tokens();
    for (std::size_t token = first_token; token < first_token + span.rows; ++token)
      slots[count++] = {span.kv->tile_for_write(layer, token), token % backend::kTileTokens};
  }
  tools.backend.store_kv(layout, activations.k.as<float>(), activations.v.as<float>(),
                         {slots, count});
}

// All rows over the tiles of their lines: of each line the next run, until none has any left.
Result<void> attend(const SweepTools& tools, const AttentionSpec& spec, std::size_t layer,
                    std::span<const RowSpan> spans, std::size_t rows, Activations& activations) {
  const SeenTokens seen = activations.seen_of(spec.window);
  for (const RowSpan& span : spans) {
    if (span.rows == 0) continue;
    const std::uint32_t* first = seen.first + span.first_row;
    const std::uint32_t* end = seen.end + span.first_row;
    span.kv->walk(layer, *std::min_element(first, first + span.rows),
                  *std::max_element(end, end + span.rows));
  }
  const backend::AttentionOptions options =
      attention_options(spec, kv_layout(spec, tools.backend.options().compute));
  const backend::AttentionRows block{activations.q.as<float>(), activations.attended.as<float>(),
                                     seen.first, seen.end, rows};
  backend::AttentionLine* lines = activations.lines.as<backend::AttentionLine>();
  for (bool first = true;; first = false) {
    std::size_t count = 0;
    for (const RowSpan& span : spans) {
      if (span.rows == 0) continue;
      OLLM_TRY(const kv::TileRun run, span.kv->next_run());
      if (run.tiles.empty()) continue;
      lines[count++] = {span.first_row, span.rows, run.tiles, run.first_token, first, run.last};
    }
    if (count == 0) return {};
    tools.backend.attention(options, block, {lines, count}, activations.attention_state.data());
  }
}

}  // namespace

Result<void> attention(const SweepTools& tools, const Composition& composition,
                       const AttentionSpec& spec, std::size_t layer, std::span<const RowSpan> spans,
                       std::size_t rows, Activations& activations) {
  const backend::KvLayout layout = kv_layout(spec, tools.backend.options().compute);
  float* q = activations.q.as<float>();
  float* k = activations.k.as<float>();
  float* v = activations.v.as<float>();

  const backend::LeftOperand input = tools.backend.prepare_left(
      activations.normed.as<float>(), spec.q.in, rows, spec.q.in, activations.left.data());
  OLLM_TRY_VOID(linear(tools, spec.q, input, q, spec.q.out));
  OLLM_TRY_VOID(linear(tools, spec.k, input, k, spec.k.out));
  OLLM_TRY_VOID(linear(tools, spec.v, input, v, spec.v.out));

  if (spec.q_norm) norm_heads(tools, *spec.q_norm, spec.norm_whole_row, q, spec.heads, rows);
  if (spec.k_norm) norm_heads(tools, *spec.k_norm, spec.norm_whole_row, k, spec.kv_heads, rows);
  if (spec.rotary) {
    rotate(tools, composition, *spec.rotary, q, spec.heads, spec.head_dim, rows, activations);
    rotate(tools, composition, *spec.rotary, k, spec.kv_heads, spec.head_dim, rows, activations);
  }

  store(tools, layout, layer, spans, activations);
  OLLM_TRY_VOID(attend(tools, spec, layer, spans, rows, activations));

  const backend::LeftOperand attended = tools.backend.prepare_left(
      activations.attended.as<float>(), spec.o.in, rows, spec.o.in, activations.left.data());
  return linear(tools, spec.o, attended, activations.normed.as<float>(), spec.o.out);
}

}  // namespace ollm::models
