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

// Rows of heads are packed, so that a norm per head is a norm over rows * heads short rows; where
// each head has its own weights, over one at a time.
void norm_heads(const SweepTools& tools, const NormSpec& spec, bool whole_row, float* x,
                std::size_t heads, std::size_t head_dim, std::size_t rows) {
  const backend::WeightVector weight = tools.tape.vector(spec.weight);
  if (whole_row || weight.size == head_dim)
    return norm(tools, spec, x, x, whole_row ? rows : rows * heads);
  for (std::size_t i = 0; i < rows * heads; ++i) {
    float* head = x + i * head_dim;
    const backend::WeightVector own{weight.data + i % heads * head_dim, head_dim};
    if (spec.kind == NormKind::rms) {
      tools.backend.rms_norm(head, own, spec.eps, head, 1);
    } else {
      tools.backend.layer_norm(head, own, {}, spec.eps, head, 1);
    }
  }
}

// The keys, normed and rotated, and the values of all rows.
Result<void> keys_and_values(const SweepTools& tools, const Composition& composition,
                             const AttentionSpec& spec, const backend::LeftOperand& input,
                             Activations& activations) {
  float* k = activations.k.as<float>();
  OLLM_TRY_VOID(linear(tools, spec.k, input, k, spec.k.out));
  OLLM_TRY_VOID(linear(tools, spec.v, input, activations.v.as<float>(), spec.v.out));
  const std::size_t rows = input.rows;
  if (spec.k_norm)
    norm_heads(tools, *spec.k_norm, spec.norm_whole_row, k, spec.kv_heads, spec.head_dim, rows);
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

// One layer's attention: calls of the backend over the same rows.
class Attending {
 public:
  Attending(const SweepTools& tools, const AttentionSpec& spec, std::size_t layer, std::size_t rows,
            Activations& activations)
      : backend_(tools.backend),
        layer_(layer),
        seen_(activations.seen_of(spec.window)),
        options_(attention_options(spec, kv_layout(spec, tools.backend.options().compute))),
        rows_{activations.q.as<float>(),
              activations.attended.as<float>(),
              seen_.first,
              seen_.end,
              activations.positions.as<std::uint32_t>(),
              rows},
        lines_(activations.lines.as<backend::AttentionLine>()),
        state_(activations.attention_state.data()) {
    if (spec.sinks) options_.sinks = tools.tape.vector(*spec.sinks).data;
  }

  // All rows over the tiles of their lines: first those in memory of all lines at once, then line
  // by line those that are read for it, so that the ring holds what one line walks over. A line
  // with a block that cannot be read is damaged then, and what its rows give is of no meaning.
  void attend(std::span<const RowSpan> spans) {
    bool all = true;
    for (const RowSpan& span : spans) {
      if (!span.runs()) continue;
      walk(span);
      const kv::TileRun run = span.line->next_run_in_memory();
      if (!run.tiles.empty()) add(span.first_row, span.rows, run, !fills_block(span));
      all = all && run.last;
    }
    fold();
    if (!all) attend_to_reads(spans);
    for (const RowSpan& span : spans)
      if (fills_block(span) && !span.line->is_damaged()) attend_by_blocks(span);
  }

 private:
  // Whether rows behind a block that this span fills see that as codes give it, and not as it
  // stands in memory for the block's own rows.
  static bool fills_block(const RowSpan& span) {
    if (!span.runs() || !span.line->store().quantizes()) return false;
    const std::size_t tokens = span.line->store().options().block_tokens;
    return (span.line->tokens() + span.rows - 1) / tokens > span.line->tokens() / tokens;
  }

  std::size_t first_seen(const RowSpan& span) const {
    const std::uint32_t* first = seen_.first + span.first_row;
    return *std::min_element(first, first + span.rows);
  }

  // Over all that the rows see, or up to the first block of the rows.
  void walk(const RowSpan& span) const {
    const std::uint32_t* ends = seen_.end + span.first_row;
    std::size_t end = *std::max_element(ends, ends + span.rows);
    if (fills_block(span)) {
      const std::size_t tokens = span.line->store().options().block_tokens;
      end = span.line->tokens() / tokens * tokens;
    }
    span.line->walk(layer_, std::min(first_seen(span), end), end);
  }

  void attend_to_reads(std::span<const RowSpan> spans) {
    for (const RowSpan& span : spans) {
      while (span.runs() && !span.line->walked()) {
        const Result<kv::TileRun> run = span.line->next_run();
        if (!run.ok()) break;
        add(span.first_row, span.rows, *run, !fills_block(span));
        fold();
      }
    }
  }

  // The blocks that the rows of a span stand in, in order: each for its own rows as it is, and for
  // those behind them as its codes give it.
  void attend_by_blocks(const RowSpan& span) {
    kv::Line& line = *span.line;
    const std::size_t block_tokens = line.store().options().block_tokens;
    const std::size_t begin = line.tokens();
    const std::size_t end = begin + span.rows;
    bool first = first_seen(span) / block_tokens >= begin / block_tokens;
    for (std::size_t token = begin; token < end; first = false) {
      const std::size_t block = token / block_tokens;
      const std::size_t next = std::min(end, (block + 1) * block_tokens);
      line.walk(layer_, block * block_tokens, next);
      kv::TileRun own = line.next_run_in_memory();
      own.first = first;
      add(span.first_row + token - begin, next - token, own, true);
      fold();
      if (next < end) {
        kv::TileRun seen = line.filled_as_seen(layer_, block);
        seen.first = first;
        seen.last = false;
        add(span.first_row + next - begin, end - next, seen, false);
        fold();
      }
      token = next;
    }
  }

  void add(std::size_t first_row, std::size_t rows, const kv::TileRun& run, bool may_be_last) {
    lines_[count_++] = {first_row,       rows,      run.tiles,
                        run.first_token, run.first, run.last && may_be_last};
  }

  void fold() {
    if (count_ > 0) backend_.attention(options_, rows_, {lines_, count_}, state_);
    count_ = 0;
  }

  backend::Backend& backend_;
  const std::size_t layer_;
  const SeenTokens seen_;
  backend::AttentionOptions options_;
  const backend::AttentionRows rows_;
  backend::AttentionLine* const lines_;  // of the next call
  std::size_t count_ = 0;
  std::byte* const state_;
};

// The queries of all rows, and where they are gated what that takes.
Result<void> queries(const SweepTools& tools, const AttentionSpec& spec,
                     const backend::LeftOperand& input, Activations& activations) {
  float* q = activations.q.as<float>();
  if (!spec.gated) return linear(tools, spec.q, input, q, spec.q.out);
  const float* both = activations.projected.as<float>();
  OLLM_TRY_VOID(linear(tools, spec.q, input, activations.projected.as<float>(), spec.q.out));
  float* gate = activations.mixer_gate.as<float>();
  for (std::size_t head = 0; head < input.rows * spec.heads; ++head) {
    q = std::copy_n(both, spec.head_dim, q);
    gate = std::copy_n(both + spec.head_dim, spec.head_dim, gate);
    both += 2 * spec.head_dim;
  }
  return {};
}

void grow(const SweepTools& tools, const AttentionSpec& spec, float* q, std::size_t rows,
          Activations& activations) {
  const AttentionSpec::QueryGrowth& growth = *spec.query_growth;
  const std::uint32_t* positions = activations.positions.as<std::uint32_t>();
  float* factors = activations.query_factors.as<float>();
  for (std::size_t r = 0; r < rows; ++r)
    factors[r] = growth.factors[std::min(positions[r] / growth.step, growth.factors.size() - 1)];
  tools.backend.multiply_rows(q, rows, spec.heads * spec.head_dim, factors);
}

}  // namespace

Result<void> attention(const SweepTools& tools, const Composition& composition,
                       const AttentionSpec& spec, std::size_t layer, std::span<const RowSpan> spans,
                       std::size_t rows, Activations& activations) {
  float* q = activations.q.as<float>();
  const backend::LeftOperand input = tools.backend.prepare_left(
      activations.normed.as<float>(), spec.q.in, rows, spec.q.in, activations.left.data());
  OLLM_TRY_VOID(queries(tools, spec, input, activations));
  if (spec.q_norm)
    norm_heads(tools, *spec.q_norm, spec.norm_whole_row, q, spec.heads, spec.head_dim, rows);
  if (spec.rotary) rotate(tools, composition, spec, q, spec.heads, rows, activations);
  if (spec.query_growth) grow(tools, spec, q, rows, activations);
  if (!spec.kv_of_layer) {
    OLLM_TRY_VOID(keys_and_values(tools, composition, spec, input, activations));
    store(tools, spec, layer, spans, activations);
  }
  Attending(tools, spec, layer, rows, activations).attend(spans);

  float* out = activations.attended.as<float>();
  if (spec.gated) {
    float* gate = activations.mixer_gate.as<float>();
    tools.backend.activate(backend::Activation::sigmoid, gate, out, gate, rows * spec.o.in);
    out = gate;
  }
  const backend::LeftOperand attended =
      tools.backend.prepare_left(out, spec.o.in, rows, spec.o.in, activations.left.data());
  return linear(tools, spec.o, attended, activations.normed.as<float>(), spec.o.out);
}

}  // namespace ollm::models
