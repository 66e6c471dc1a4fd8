// What a device computes, on blocks of token rows: the interface that blocks of models are built
// on. Knows nothing of models, sessions or plans. Implemented by reference/ (the truth) and cpu/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "ollm/backend/delta_net.h"
#include "ollm/backend/kv_layout.h"
#include "ollm/backend/options.h"
#include "ollm/base/result.h"
#include "ollm/base/thread_pool.h"
#include "ollm/tensor/weight_format.h"

namespace ollm::backend {

/// Some rows of one weight matrix [out, in], as they stand in the file: row-major, packed, at any
/// byte (files promise no alignment); of a format for which there is no unsupported_reason.
///
/// `data` are [rows, cols] of format.element. Of layout in_by_out they are [cols, rows]: such a
/// matrix comes whole, as what one output needs stands in all of its stored rows.
struct WeightRows {
  const std::byte* data = nullptr;
  WeightFormat format;
  std::size_t rows = 0;  // outputs of this segment
  std::size_t cols = 0;  // inputs
  /// Of format.scale, valid by `scales_are_valid`: [rows / its rows, cols / its cols], both rounded
  /// up, packed, at any byte. A segment begins where a block does.
  const std::byte* scales = nullptr;
};

/// A weight vector [size], widened to f32 when it was loaded.
struct WeightVector {
  const float* data = nullptr;
  std::size_t size = 0;
};

/// What becomes of a left operand before products: `as_mode` rounds it to bf16 in bf16 mode, `none`
/// never (a router's scores decide which experts run, so that they are f32 in both modes).
enum class LeftRounding { as_mode, none };

/// The left operand of matrix products, rounded and padded once for all weights that it meets.
/// Opaque; written by `Backend::prepare_left`.
struct LeftOperand {
  const std::byte* data = nullptr;
  std::size_t rows = 0;
  std::size_t cols = 0;
  LeftRounding rounding = LeftRounding::as_mode;
};

enum class Activation { silu, gelu, gelu_tanh, relu, relu_squared, sigmoid };

/// How attention weighs; one layer's constants.
struct AttentionOptions {
  std::size_t heads =
      0;  // a multiple of layout.kv_heads; head h reads kv head h / (heads / kv_heads)
  KvLayout layout;
  float scale = 0;               // multiplies q . k
  float soft_cap = 0;            // 0: none; else scores become soft_cap * tanh(scores / soft_cap)
  const float* sinks = nullptr;  // [heads] logits that take part in the denominator only, or null
  /// [heads], or null: scores, capped or not, lose slope * |position of the row - token|. Source:
  /// Press, Smith, Lewis, "Train Short, Test Long", 2022 (ALiBi).
  const float* distance_slopes = nullptr;
};

/// Query rows of a sweep: those of one line after those of another. Row r sees the tokens
/// first_seen[r] to end_seen[r] - 1 of its line, wherever it stands itself: causal, windows and
/// spans that are seen from both sides are only how these are filled. A row that sees none is zero.
struct AttentionRows {
  const float* q = nullptr;                   // [rows, heads, key_size], rotated, not scaled
  float* out = nullptr;                       // [rows, heads, value_size]
  const std::uint32_t* first_seen = nullptr;  // [rows]
  const std::uint32_t* end_seen = nullptr;    // [rows]
  const std::uint32_t* positions = nullptr;   // [rows], below 2^24; only with distance_slopes
  std::size_t rows = 0;
};

/// Some rows that read the keys and values of one line, and a run of the tiles that hold these. A
/// line's tiles may come in several runs, one call of `Backend::attention` after the other.
struct AttentionLine {
  std::size_t first_row = 0;                // of AttentionRows
  std::size_t rows = 0;                     // from there on
  std::span<const std::byte* const> tiles;  // of one layer, in ascending order
  std::size_t first_token = 0;              // of the first tile: a multiple of kTileTokens
  bool first_run = true;                    // no tiles of these rows came before
  bool last_run = true;                     // none follow: `out` is written
};

/// Where the keys and values of one row go.
struct KvSlot {
  std::byte* tile = nullptr;  // of one layer
  std::size_t slot = 0;       // 0 ... 63
};

/// Computes on the threads of the pool that it was made with. One thread at a time may call it.
///
/// One result for one row never depends on the rows beside it, on the number of threads, or on the
/// alignment of operands: each output element has one fixed order of additions
/// (docs/decisions/same-bits.md). Shapes were checked when weights were bound, so nothing here can
/// fail, and nothing allocates. Buffers of different arguments may not overlap unless it is said.
class Backend {
 public:
  virtual ~Backend() = default;

  virtual Options options() const = 0;
  NumericClass numeric_class() const {
    return backend::numeric_class(options().isa, options().compute);
  }

  /// Bytes that it holds itself on so many threads, where no product with weights of this layout
  /// has more rows and outputs.
  virtual std::size_t scratch_bytes(std::size_t threads, std::size_t rows, std::size_t outputs,
                                    WeightLayout layout = WeightLayout::out_by_in) const = 0;

  /// Bytes of a LeftOperand of this size.
  virtual std::size_t left_bytes(std::size_t rows, std::size_t cols,
                                 LeftRounding rounding = LeftRounding::as_mode) const = 0;

  /// Rounds and pads x for `matmul`. x [rows, cols] f32, rows `x_stride` floats apart; `storage` at
  /// least left_bytes(rows, cols, rounding), 64-byte aligned.
  virtual LeftOperand prepare_left(const float* x, std::size_t x_stride, std::size_t rows,
                                   std::size_t cols, std::byte* storage,
                                   LeftRounding rounding = LeftRounding::as_mode) = 0;

  /// out[r][j] = sum_i x[r][i] * w[j][i] for the rows j of this segment; x.cols == w.cols. With
  /// LeftRounding::none the bits are those of f32 mode.
  /// out points at the first output of the segment; rows `out_stride` floats apart.
  virtual void matmul(const LeftOperand& x, const WeightRows& w, float* out,
                      std::size_t out_stride) = 0;

  /// x[r][i] += bias[i], in place. x [rows, bias.size], rows `x_stride` floats apart.
  virtual void add_bias(float* x, std::size_t x_stride, std::size_t rows,
                        const WeightVector& bias) = 0;

  /// out[r][i] = w[r][i] as f32, for `w.rows` rows that stand together (an embedding's row).
  virtual void widen(const WeightRows& w, float* out) = 0;

  /// out[r][i] = x[r][i] / sqrt(mean_j(x[r][j]^2) + eps) * weight[i].
  /// x, out [rows, weight.size] f32, packed; may be the same memory.
  /// Source: Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019, eq. 4.
  virtual void rms_norm(const float* x, const WeightVector& weight, float eps, float* out,
                        std::size_t rows) = 0;

  /// out[r][i] = (x[r][i] - mean_r) / sqrt(var_r + eps) * weight[i] + bias[i]; bias.data may be
  /// null. x, out [rows, weight.size] f32, packed; may be the same memory.
  virtual void layer_norm(const float* x, const WeightVector& weight, const WeightVector& bias,
                          float eps, float* out, std::size_t rows) = 0;

  /// x[r][i] += y[r][i] * y_scale, n = rows * size values, packed. y_scale 1 adds y itself.
  virtual void add(float* x, const float* y, float y_scale, std::size_t n) = 0;

  /// out[rows[i]][j] += x[i][j] * weights[i], each one rounding, for the rows of a mixture that an
  /// expert has computed: out rows `out_stride` floats apart, x [n_rows, size] packed. rows
  /// [n_rows] are distinct.
  virtual void add_weighted(float* out, std::size_t out_stride, const std::uint32_t* rows,
                            const float* weights, const float* x, std::size_t n_rows,
                            std::size_t size) = 0;

  /// x[i][j] *= factors[i]; x [n_rows, size] packed.
  virtual void multiply_rows(float* x, std::size_t n_rows, std::size_t size,
                             const float* factors) = 0;

  /// x[i] *= factor.
  virtual void scale(float* x, float factor, std::size_t n) = 0;

  /// x[i] /= divisor, each the nearest float to the quotient: not what `scale` by 1 / divisor
  /// gives, which rounds twice.
  virtual void divide(float* x, float divisor, std::size_t n) = 0;

  /// x[i] = cap * tanh(x[i] / cap).
  virtual void soft_cap(float* x, float cap, std::size_t n) = 0;

  /// out[i] = activation(gate[i]) * up[i]; up may be null: out[i] = activation(gate[i]).
  /// n values; out may be gate.
  virtual void activate(Activation activation, const float* gate, const float* up, float* out,
                        std::size_t n) = 0;

  /// out[i] = (up + 1) * (gate * sigmoid(alpha * gate)) of the pairs (gate, up) that stand one
  /// after the other, cut to [-inf, limit] and [-limit, limit] before. gate_up [n, 2], out [n].
  /// Source: Transformers, GptOssExperts._apply_gate.
  virtual void clamped_swiglu(const float* gate_up, float alpha, float limit, float* out,
                              std::size_t n) = 0;

  /// cos_out, sin_out [rows, pairs]: cos and sin of the f32 product positions[r] *
  /// inverse_frequencies[i], times `magnitude` (yarn's attention factor). The angle is rounded to
  /// f32 before, as Transformers does; sine and cosine of that angle are exact to 1 ulp at any
  /// size.
  virtual void rotary_table(const std::uint32_t* positions, std::size_t rows,
                            const float* inverse_frequencies, std::size_t pairs, float magnitude,
                            float* cos_out, float* sin_out) = 0;

  /// Rotates pairs of the first 2 * pairs elements of each head, in place:
  ///   halves:       (x[i], x[i + pairs])      as Llama does
  ///   interleaved:  (x[2i], x[2i + 1])        as GLM and Cohere do
  /// x [rows, heads, head_size], rows `x_stride` floats apart; cos, sin [rows, pairs].
  virtual void rotate(float* x, std::size_t x_stride, std::size_t rows, std::size_t heads,
                      std::size_t head_size, const float* cos, const float* sin, std::size_t pairs,
                      bool interleaved) = 0;

  /// Writes the keys and values of rows of any lines into their slots: row r into slots[r], no two
  /// rows into one. k [slots, kv_heads, key_size], v [slots, kv_heads, value_size] f32, packed.
  virtual void store_kv(const KvLayout& layout, const float* k, const float* v,
                        std::span<const KvSlot> slots) = 0;

  /// out[r][c] = sum_m x[r - (taps - 1) + m][c] * weight[c][m] over the rows of each line, which
  /// come in ascending order. x, out [rows, channels] f32, packed; weight [channels, taps], taps
  /// from 1 to kMostConvTaps.
  virtual void causal_conv(const float* x, const WeightVector& weight, std::size_t taps,
                           std::span<const ConvLine> lines, float* out) = 0;

  /// x[r][h] *= scale / sqrt(sum_j x[r][h][j]^2 + eps), in place. x [rows, heads, size], rows
  /// `x_stride` floats apart.
  virtual void l2_norm(float* x, std::size_t x_stride, std::size_t rows, std::size_t heads,
                       std::size_t size, float eps, float scale) = 0;

  /// decay[r][h] = -exp(a_log[h]) * softplus(a[r][h] + dt_bias[h]); beta[r][h] = sigmoid(b[r][h]).
  /// All [rows, a_log.size] f32, packed; decay may be a, beta may be b.
  virtual void delta_gates(const float* a, const float* b, const WeightVector& a_log,
                           const WeightVector& dt_bias, std::size_t rows, float* decay,
                           float* beta) = 0;

  /// Bytes of scratch for `delta_rule`; 64-byte aligned.
  virtual std::size_t delta_scratch_bytes(const DeltaLayout& layout) const = 0;

  /// The gated delta rule, token by token of each line, of each value head:
  ///
  ///   S' = exp(decay) S,  w = beta (v - S'^T k),  S'' = S' + k w^T,  out = S''^T q
  ///
  /// computed in chunks of kDeltaChunkTokens, of which a line's are written where they are not
  /// null: what it keeps of each row, and the state behind each chunk that ends.
  /// `lines` name rows in ascending order, each at most once.
  /// Source: Yang, Kautz, Hatamizadeh, "Gated Delta Networks", 2024, eq. 10.
  virtual void delta_rule(const DeltaLayout& layout, const DeltaRows& rows,
                          std::span<const DeltaLine> lines, std::byte* scratch) = 0;

  /// Bytes of scratch for attention over this many rows; 64-byte aligned.
  virtual std::size_t attention_state_bytes(const AttentionOptions& options,
                                            std::size_t rows) const = 0;

  /// Softmax attention over a run of tiles of each of `lines`, which name rows in ascending order,
  /// each at most once. Where tiles come in several runs, `state` and `rows` are kept between the
  /// calls; lines may then begin and end in different ones. Tiles of which a row sees no token are
  /// passed over for it.
  virtual void attention(const AttentionOptions& options, const AttentionRows& rows,
                         std::span<const AttentionLine> lines, std::byte* state) = 0;
};

/// What the machine can run, best last: scalar always, then what the CPU has.
std::span<const Isa> supported_isas();

/// Who made the processor, by cpuid.
enum class CpuVendor { other, amd, intel };
CpuVendor cpu_vendor();

/// Of `isas`, slowest first, the table that is taken where none was measured: of class fma16 the
/// widest; `avx512_bf16` in bf16 mode on AMD's processors, which run vdpbf16ps at the full rate
/// (docs/decisions/tables.md). Without any: scalar.
Isa best_isa(std::span<const Isa> isas, ComputeMode mode, CpuVendor vendor);
/// The same of this machine.
Isa best_isa(ComputeMode mode);

/// A table by its command-line name. Errors: invalid_argument for an unknown name (the message
/// lists the names); unsupported where this machine lacks it (the message says what it has).
Result<Isa> parse_isa(std::string_view name);

/// A backend for a table that this machine supports. `pool` must outlive it.
/// Errors: unsupported; out_of_budget where the system has no memory for its scratch.
Result<std::unique_ptr<Backend>> make_backend(const Options& options, ThreadPool& pool);

}  // namespace ollm::backend
