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

  const backend::AttentionOptions options = attention_options(spec, layout);
  const std::uint32_t* positions = activations.positions.as<std::uint32_t>();
  for (const RowSpan& span : spans) {
    const std::size_t first_token = span.kv->tokens();
    for (std::size_t r = 0; r < span.rows; ++r) {
      const std::size_t token = first_token + r;
      const std::size_t row = span.first_row + r;
      tools.backend.store_kv(layout, k + row * spec.k.out, v + row * spec.v.out,
                             span.kv->tile_for_write(layer, token), token % backend::kTileTokens);
    }
    const backend::AttentionRows block{
        q + span.first_row * spec.q.out,
        activations.attended.as<float>() + span.first_row * spec.q.out, positions + span.first_row,
        span.rows};
    std::byte* state = activations.attention_state.data();
    tools.backend.attention_begin(options, block, state);
    // Keys before the first row's window are seen by no row.
    const std::size_t first_seen =
        spec.window == 0 || first_token + 1 <= spec.window ? 0 : first_token + 1 - spec.window;
    OLLM_TRY_VOID(span.kv->walk(layer, first_seen, first_token + span.rows,
                                [&](std::span<const std::byte* const> tiles, std::size_t first) {
                                  tools.backend.attention_fold(options, block, tiles, first, state);
                                }));
    tools.backend.attention_finish(options, block, state);
  }

  const backend::LeftOperand attended = tools.backend.prepare_left(
      activations.attended.as<float>(), spec.o.in, rows, spec.o.in, activations.left.data());
  return linear(tools, spec.o, attended, activations.normed.as<float>(), spec.o.out);
}

}  // namespace ollm::models
