#include "ollm/models/blocks/attention.h"

#include <algorithm>

namespace ollm::models {
namespace {

void rotate(const SweepTools& tools, const Composition& composition, const AttentionSpec& spec,
            float* x, std::size_t heads, std::size_t rows, Activations& activations) {
  const std::size_t rotary = *spec.rotary;
  tools.backend.rotate(x, heads * spec.head_dim, rows, heads, spec.head_dim,
                       activations.cosines_of(rotary), activations.sines_of(rotary),
                       composition.rotaries[rotary].inverse_frequencies.size(), spec.interleaved);
}

// Rows of heads are packed, so that a norm per head is a norm over rows * heads short rows.
void norm_heads(const SweepTools& tools, const NormSpec& spec, bool whole_row, float* x,
                std::size_t heads, std::size_t rows) {
  norm(tools, spec, x, x, whole_row ? rows : rows * heads);
}

// The keys, normed and rotated, and the values of all rows.
Result<void> keys_and_values(const SweepTools& tools, const Composition& composition,
                             const AttentionSpec& spec, const backend::LeftOperand& input,
                             Activations& activations) {
  float* k = activations.k.as<float>();
  OLLM_TRY_VOID(linear(tools, spec.k, input, k, spec.k.out));
  OLLM_TRY_VOID(linear(tools, spec.v, input, activations.v.as<float>(), spec.v.out));
  const std::size_t rows = input.rows;
  if (spec.k_norm) norm_heads(tools, *spec.k_norm, spec.norm_whole_row, k, spec.kv_heads, rows);
  if (spec.rotary) rotate(tools, composition, spec, k, spec.kv_heads, rows, activations);
  return {};
}

// Keys and values of all rows, each into its line's tile.
void store(const SweepTools& tools, const AttentionSpec& spec, std::size_t layer,
           std::span<const RowSpan> spans, Activations& activations) {
  backend::KvSlot* slots = activations.slots.as<backend::KvSlot>();
  std::size_t count = 0;
  for (const RowSpan& span : spans) {
    const std::size_t first_token = span.line->tokens();
    for (std::size_t token = first_token; token < first_token + span.rows; ++token)
      slots[count++] = {span.line->tile_for_write(layer, token), token % backend::kTileTokens};
  }
  tools.backend.store_kv(kv_layout(spec, tools.backend.options().compute),
                         activations.k.as<float>(), activations.v.as<float>(), {slots, count});
}

// All rows over the tiles of their lines: first those in memory of all lines at once, then line by
// line those that are read for it, so that the ring holds what one line walks over. A line with a
// block that cannot be read is damaged then, and what its rows give is of no meaning.
void attend(const SweepTools& tools, const AttentionSpec& spec, std::size_t layer,
            std::span<const RowSpan> spans, std::size_t rows, Activations& activations) {
  const SeenTokens seen = activations.seen_of(spec.window);
  for (const RowSpan& span : spans) {
    if (span.rows == 0 || span.dropped) continue;
    const std::uint32_t* first = seen.first + span.first_row;
    const std::uint32_t* end = seen.end + span.first_row;
    span.line->walk(layer, *std::min_element(first, first + span.rows),
                    *std::max_element(end, end + span.rows));
  }
  backend::AttentionOptions options =
      attention_options(spec, kv_layout(spec, tools.backend.options().compute));
  if (spec.sinks) options.sinks = tools.tape.vector(*spec.sinks).data;
  const backend::AttentionRows block{activations.q.as<float>(),
                                     activations.attended.as<float>(),
                                     seen.first,
                                     seen.end,
                                     activations.positions.as<std::uint32_t>(),
                                     rows};
  backend::AttentionLine* lines = activations.lines.as<backend::AttentionLine>();
  const auto fold = [&](std::size_t count) {
    if (count > 0)
      tools.backend.attention(options, block, {lines, count}, activations.attention_state.data());
  };
  const auto line_of = [](const RowSpan& span, const kv::TileRun& run) {
    return backend::AttentionLine{span.first_row,  span.rows, run.tiles,
                                  run.first_token, run.first, run.last};
  };
  std::size_t count = 0;
  bool all = true;
  for (const RowSpan& span : spans) {
    if (span.rows == 0 || span.dropped) continue;
    const kv::TileRun run = span.line->next_run_in_memory();
    if (!run.tiles.empty()) lines[count++] = line_of(span, run);
    all = all && run.last;
  }
  fold(count);
  if (all) return;
  for (const RowSpan& span : spans) {
    while (span.rows > 0 && !span.dropped && !span.line->walked()) {
      const Result<kv::TileRun> run = span.line->next_run();
      if (!run.ok()) break;
      lines[0] = line_of(span, *run);
      fold(1);
    }
  }
}

}  // namespace

Result<void> attention(const SweepTools& tools, const Composition& composition,
                       const AttentionSpec& spec, std::size_t layer, std::span<const RowSpan> spans,
                       std::size_t rows, Activations& activations) {
  float* q = activations.q.as<float>();
  const backend::LeftOperand input = tools.backend.prepare_left(
      activations.normed.as<float>(), spec.q.in, rows, spec.q.in, activations.left.data());
  OLLM_TRY_VOID(linear(tools, spec.q, input, q, spec.q.out));
  if (spec.q_norm) norm_heads(tools, *spec.q_norm, spec.norm_whole_row, q, spec.heads, rows);
  if (spec.rotary) rotate(tools, composition, spec, q, spec.heads, rows, activations);
  if (!spec.kv_of_layer) {
    OLLM_TRY_VOID(keys_and_values(tools, composition, spec, input, activations));
    store(tools, spec, layer, spans, activations);
  }
  attend(tools, spec, layer, spans, rows, activations);

  const backend::LeftOperand attended = tools.backend.prepare_left(
      activations.attended.as<float>(), spec.o.in, rows, spec.o.in, activations.left.data());
  return linear(tools, spec.o, attended, activations.normed.as<float>(), spec.o.out);
}

}  // namespace ollm::models
