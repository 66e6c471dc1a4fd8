#include "ollm/models/blocks/delta_net.h"

#include <algorithm>
#include <cmath>

#include "ollm/base/check.h"

namespace ollm::models {
namespace {

using backend::kDeltaChunkTokens;
static_assert(kDeltaChunkTokens == kv::kChunkTokens);

// Of the lengths of queries and keys; source: Transformers, qwen3_next, l2norm.
constexpr float kLengthEps = 1e-6F;

// Takes rows of equal groups apart: of each group the first `size` of every run go to `out`, one
// group after the other.
struct Run {
  std::size_t size = 0;
  float* out = nullptr;
  std::size_t stride = 0;  // of its rows
};
void take_apart(const float* grouped, std::size_t rows, std::size_t groups,
                std::initializer_list<Run> runs) {
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t group = 0; group < groups; ++group) {
      for (const Run& run : runs) {
        std::copy_n(grouped, run.size, run.out + row * run.stride + group * run.size);
        grouped += run.size;
      }
    }
  }
}

// One delta net's rows in a sweep.
class DeltaNet {
 public:
  DeltaNet(const SweepTools& tools, const DeltaNetSpec& spec, std::size_t layer,
           std::span<const RowSpan> spans, std::size_t rows, Activations& activations)
      : tools_(tools),
        spec_(spec),
        layer_(layer),
        spans_(spans),
        rows_(rows),
        activations_(activations),
        channels_(spec.channels()),
        state_floats_(backend::state_floats(spec.layout)),
        row_floats_(recurrent_layout(spec).row_bytes / sizeof(float)),
        inputs_(activations.conv_inputs.as<float>()),
        convolved_(activations.projected.as<float>()) {}

  Result<void> run() {
    OLLM_TRY_VOID(project());
    convolve();
    const std::size_t keys = spec_.keys();
    const backend::DeltaLayout& layout = spec_.layout;
    const float scale = 1 / std::sqrt(static_cast<float>(layout.key_size));
    tools_.backend.l2_norm(convolved_, channels_, rows_, layout.key_heads, layout.key_size,
                           kLengthEps, scale);
    tools_.backend.l2_norm(convolved_ + keys, channels_, rows_, layout.key_heads, layout.key_size,
                           kLengthEps, 1);
    keep_inputs();
    apply_rule();
    float* out = activations_.attended.as<float>();
    float* gate = activations_.mixer_gate.as<float>();
    norm(tools_, spec_.norm, out, out, rows_ * layout.value_heads);
    tools_.backend.activate(backend::Activation::silu, gate, out, gate, rows_ * spec_.values());
    const backend::LeftOperand gated =
        tools_.backend.prepare_left(gate, spec_.o.in, rows_, spec_.o.in, activations_.left.data());
    return linear(tools_, spec_.o, gated, activations_.normed.as<float>(), spec_.o.out);
  }

 private:
  // inputs, z, beta and decay of all rows.
  Result<void> project() {
    const std::size_t heads = spec_.layout.value_heads;
    float* z = activations_.mixer_gate.as<float>();
    float* beta = activations_.delta_betas.as<float>();
    float* decay = activations_.delta_decays.as<float>();
    const backend::LeftOperand x =
        tools_.backend.prepare_left(activations_.normed.as<float>(), spec_.qkv.in, rows_,
                                    spec_.qkv.in, activations_.left.data());
    if (spec_.z) {
      OLLM_TRY_VOID(linear(tools_, spec_.qkv, x, inputs_, channels_));
      OLLM_TRY_VOID(linear(tools_, *spec_.z, x, z, spec_.values()));
    } else {
      OLLM_TRY_VOID(project_grouped(x, z));
    }
    if (spec_.a) {
      OLLM_TRY_VOID(linear(tools_, spec_.b, x, beta, heads));
      OLLM_TRY_VOID(linear(tools_, *spec_.a, x, decay, heads));
    } else {
      float* both = activations_.projected.as<float>();
      OLLM_TRY_VOID(linear(tools_, spec_.b, x, both, spec_.b.out));
      const std::size_t group = heads / spec_.layout.key_heads;
      take_apart(both, rows_, spec_.layout.key_heads,
                 {{group, beta, heads}, {group, decay, heads}});
    }
    tools_.backend.delta_gates(decay, beta, tools_.tape.vector(spec_.a_log),
                               tools_.tape.vector(spec_.dt_bias), rows_, decay, beta);
    return {};
  }

  Result<void> project_grouped(const backend::LeftOperand& x, float* z) {
    const backend::DeltaLayout& layout = spec_.layout;
    float* all = activations_.projected.as<float>();
    OLLM_TRY_VOID(linear(tools_, spec_.qkv, x, all, spec_.qkv.out));
    const std::size_t keys = spec_.keys();
    const std::size_t values = spec_.values();
    const std::size_t group = values / layout.key_heads;
    take_apart(all, rows_, layout.key_heads,
               {{layout.key_size, inputs_, channels_},
                {layout.key_size, inputs_ + keys, channels_},
                {group, inputs_ + 2 * keys, channels_},
                {group, z, values}});
    return {};
  }

  float* state_of(const kv::RecurrentChunk& chunk) const {
    return reinterpret_cast<float*>(chunk.state);
  }
  // The inputs of the tokens before a chunk, [taps - 1, channels].
  float* tail_of(const kv::RecurrentChunk& chunk) const { return state_of(chunk) + state_floats_; }
  // The inputs of a row, and behind them what the backend keeps of it.
  float* row_of(const kv::RecurrentChunk& chunk, std::size_t slot) const {
    return reinterpret_cast<float*>(chunk.rows) + slot * row_floats_;
  }

  // The inputs of a token before the span's rows: in its chunk, or at the end of the one before.
  const float* input_before(const kv::RecurrentChunk& chunk, std::size_t slot,
                            std::size_t back) const {
    if (back <= slot) return row_of(chunk, slot - back);
    return tail_of(chunk) + (spec_.taps - 1 + slot - back) * channels_;
  }

  void convolve() {
    auto* lines = activations_.conv_lines.as<backend::ConvLine>();
    auto* before = activations_.conv_before.as<const float*>();
    std::size_t count = 0;
    for (const RowSpan& span : spans_) {
      if (!span.runs()) continue;
      const std::size_t tokens = span.line->tokens();
      const kv::RecurrentChunk chunk = span.line->chunk(layer_, tokens / kDeltaChunkTokens);
      lines[count++] = {span.first_row, span.rows, before};
      for (std::size_t back = spec_.taps - 1; back > 0; --back)
        *before++ = input_before(chunk, tokens % kDeltaChunkTokens, back);
    }
    tools_.backend.causal_conv(inputs_, tools_.tape.vector(spec_.convolution), spec_.taps,
                               {lines, count}, convolved_);
    tools_.backend.activate(spec_.activation, convolved_, nullptr, convolved_, rows_ * channels_);
  }

  // What later rows need of the inputs: those of each row, as far as its chunk is kept, and at the
  // beginning of a chunk those of the last tokens before it.
  void keep_inputs() {
    for (const RowSpan& span : spans_) {
      if (!span.runs()) continue;
      const std::size_t first = span.line->tokens();
      kv::RecurrentChunk chunk = span.line->chunk(layer_, first / kDeltaChunkTokens);
      for (std::size_t r = 0; r < span.rows; ++r) {
        const float* input = inputs_ + (span.first_row + r) * channels_;
        const std::size_t slot = (first + r) % kDeltaChunkTokens;
        if (chunk) std::copy_n(input, channels_, row_of(chunk, slot));
        if (slot + 1 < kDeltaChunkTokens) continue;
        const kv::RecurrentChunk next =
            span.line->chunk(layer_, (first + r + 1) / kDeltaChunkTokens);
        if (next) keep_tail(span, r, next);
        chunk = next;
      }
    }
  }

  // Of the tokens up to row `r` of the span, with which a chunk ends.
  void keep_tail(const RowSpan& span, std::size_t r, const kv::RecurrentChunk& next) {
    const std::size_t tokens = span.line->tokens();
    const kv::RecurrentChunk open = span.line->chunk(layer_, tokens / kDeltaChunkTokens);
    for (std::size_t i = 0; i + 1 < spec_.taps; ++i) {
      const std::size_t back = spec_.taps - 2 - i;  // from row r
      const float* input = back <= r ? inputs_ + (span.first_row + r - back) * channels_
                                     : input_before(open, tokens % kDeltaChunkTokens, back - r);
      std::copy_n(input, channels_, tail_of(next) + i * channels_);
    }
  }

  void apply_rule() {
    auto* lines = activations_.delta_lines.as<backend::DeltaLine>();
    auto* chunks = activations_.delta_chunks.as<backend::DeltaChunk>();
    std::size_t count = 0;
    std::size_t used = 0;
    const std::size_t most = activations_.delta_chunks.size_bytes() / sizeof(backend::DeltaChunk);
    for (const RowSpan& span : spans_) {
      if (!span.runs()) continue;
      const std::size_t first = span.line->tokens();
      const std::size_t last = (first + span.rows) / kDeltaChunkTokens;
      lines[count++] = {span.first_row, span.rows, first % kDeltaChunkTokens, chunks + used,
                        row_floats_};
      for (std::size_t number = first / kDeltaChunkTokens; number <= last; ++number) {
        const kv::RecurrentChunk chunk = span.line->chunk(layer_, number);
        OLLM_CHECK(used < most);
        chunks[used++] = chunk ? backend::DeltaChunk{state_of(chunk), row_of(chunk, 0) + channels_}
                               : backend::DeltaChunk{};
      }
    }
    const float* k = convolved_ + spec_.keys();
    const backend::DeltaRows rows = {convolved_,
                                     k,
                                     k + spec_.keys(),
                                     channels_,
                                     activations_.delta_decays.as<float>(),
                                     activations_.delta_betas.as<float>(),
                                     activations_.attended.as<float>()};
    tools_.backend.delta_rule(spec_.layout, rows, {lines, count},
                              activations_.delta_scratch.data());
  }

  const SweepTools& tools_;
  const DeltaNetSpec& spec_;
  const std::size_t layer_;
  const std::span<const RowSpan> spans_;
  const std::size_t rows_;
  Activations& activations_;
  const std::size_t channels_;
  const std::size_t state_floats_;
  const std::size_t row_floats_;
  float* const inputs_;     // of the convolution, [rows, channels]
  float* const convolved_;  // [rows, channels]: q, k, v
};

}  // namespace

Result<void> delta_net(const SweepTools& tools, const DeltaNetSpec& spec, std::size_t layer,
                       std::span<const RowSpan> spans, std::size_t rows, Activations& activations) {
  return DeltaNet(tools, spec, layer, spans, rows, activations).run();
}

}  // namespace ollm::models
