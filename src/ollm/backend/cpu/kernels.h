// The table of kernels of one instruction set: what each computes, on which shapes, how exactly.
// Leaves to others: threads, floating-point mode and scratch memory (cpu_backend.h).
//
// Included where code is compiled with AVX-512, so it holds plain data only: any inline function
// here, or in a header included here, could be the copy that the linker keeps for all.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ollm/backend/delta_net.h"

namespace ollm::backend::cpu {

// Every kernel runs on the calling thread, allocates nothing and cannot fail: shapes were checked
// when weights were bound. Floats are 4-byte aligned; weights and tiles named `std::byte` may start
// at any byte, and no byte past their last is read. Denormals are zero (the caller sets the mode).
// Accuracies are against backend/reference on equal operands and held by tests. The order of
// additions is written down in docs/decisions/same-bits.md.

/// Types of matrices as they stand in files; the index into arrays of kernels below.
enum class WeightType : std::uint8_t { f32, f16, bf16, mxfp4 };
inline constexpr std::size_t kWeightTypes = 4;
inline constexpr std::size_t kPlainWeightTypes = 3;  // those before mxfp4

/// Of mxfp4, a byte holds an even column in its low half and the next one in its high half, and 32
/// columns, which are one step of a product, share a scale. cols is a multiple of 32. These are the
/// values of the codes (`scaled_e2m1` in tensor/mxfp4.h), for each scale a line of the cache, so
/// that decoding is one lookup in a register; of scales that never come, zeros.
struct alignas(64) E2m1Values {
  float at[256][16];
};
extern const E2m1Values kE2m1Values;
/// The same in bf16, twice, so that a fifth bit of an index does not matter.
struct alignas(64) E2m1Halves {
  std::uint16_t at[256][32];
};
extern const E2m1Halves kE2m1Halves;

/// One matrix product; see `ModeKernels::matmul`.
struct Matmul {
  const std::byte* left;     // from prepare_left, 64-byte aligned
  std::size_t rows;          // of left and out
  std::size_t cols;          // of left and weights
  const std::byte* weights;  // [outputs, cols], or [cols, outputs], packed
  const std::byte* scales;   // of mxfp4: [outputs, cols / 32]
  std::size_t outputs;
  float* out;              // [rows, outputs]
  std::size_t out_stride;  // floats from row to row
};

/// One call of attention over the rows of a sweep; see `ModeKernels::attention_fold`.
struct Attention {
  const float* q;                   // [rows, heads, key_size]
  float* out;                       // [rows, heads, value_size]
  const std::uint32_t* first_seen;  // [rows]
  const std::uint32_t* end_seen;    // [rows]
  const std::uint32_t* positions;   // [rows], only with distance_slopes
  std::size_t rows;
  std::size_t heads;
  std::size_t kv_heads;
  std::size_t key_size;
  std::size_t value_size;
  float scale;
  float soft_cap;                // 0: none
  const float* sinks;            // [heads], or null
  const float* distance_slopes;  // [heads], or null
  std::byte* state;              // attention_state_bytes, 64-byte aligned
};

/// The gated delta rule over rows of any number of lines; see `Kernels::delta_rule`.
struct DeltaRule {
  DeltaLayout layout;
  DeltaRows rows;
  const DeltaLine* lines;
  std::size_t line_count;
};

/// What differs between the compute modes.
struct ModeKernels {
  /// Bytes that `prepare_left` takes for 32 columns of one row; columns are padded to 32.
  std::size_t left_step_bytes;

  /// Rounds (bf16 mode), pads with zeros and packs rows of x [rows, cols] f32, `x_stride` floats
  /// apart, for `matmul`: the groups `group_begin` to `group_end` - 1 of Kernels::groups(rows).
  /// Writes only its groups.
  void (*prepare_left)(const float* x, std::size_t x_stride, std::size_t rows, std::size_t cols,
                       std::size_t group_begin, std::size_t group_end, std::byte* left);

  /// out[r][j] = sum_i left[r][i] * weights[j][i] for the outputs j of [begin, end).
  /// scratch: Kernels::scratch_bytes, 64-byte aligned, for this thread alone.
  /// Each sum is within 2e-6 * sum_i |left * weights| of the truth.
  void (*matmul[kWeightTypes])(const Matmul& product, std::size_t begin, std::size_t end,
                               std::byte* scratch);

  /// The same of weights [cols, outputs], of f32, f16 and bf16; touches
  /// Kernels::touched_scratch_bytes_in_by_out.
  void (*matmul_in_by_out[kPlainWeightTypes])(const Matmul& product, std::size_t begin,
                                              std::size_t end, std::byte* scratch);

  /// Writes one token's keys k [kv_heads, key_size] and values v [kv_heads, value_size], rounded
  /// to bf16 in bf16 mode, into slot (0 to 63) of a tile (kv_layout.h).
  void (*store_kv)(std::size_t kv_heads, std::size_t key_size, std::size_t value_size,
                   const float* k, const float* v, std::byte* tile, std::size_t slot);

  /// Bytes of Attention::state.
  std::size_t (*attention_state_bytes)(const Attention& attention);

  /// Packs the queries of one kv head and of rows [row_begin, row_end), and empties their state.
  void (*attention_begin)(const Attention& attention, std::size_t kv_head, std::size_t row_begin,
                          std::size_t row_end);

  /// Folds tiles [tile_count] of 64 tokens from `first_token` on (a multiple of 64) into the
  /// online softmax of these rows, all of one line: Milakov and Gimelshein, "Online normalizer
  /// calculation for softmax", 2018, algorithm 3; values are weighed as in Dao et al.,
  /// "FlashAttention", 2022.
  void (*attention_fold)(const Attention& attention, std::size_t kv_head, std::size_t row_begin,
                         std::size_t row_end, const std::byte* const* tiles, std::size_t tile_count,
                         std::size_t first_token);

  /// Writes out for these rows: the weighed values over the sum of weights, sinks included.
  /// Within 2e-5 (f32), 1e-2 (bf16: p may round the other way) of max |v| of the truth.
  void (*attention_finish)(const Attention& attention, std::size_t kv_head, std::size_t row_begin,
                           std::size_t row_end);

  /// The largest absolute value of n elements of a tile, f32 or bf16 by mode: 0 where all are below
  /// 2^-118, a NaN where one is infinite or a NaN. n is a multiple of 16, here and below.
  float (*kv_peak)(const std::byte* elements, std::size_t n);

  /// codes[i] = the integer nearest to elements[i] / peak * 127, ties to even: the quotient is
  /// rounded to f32, the product is not. All are 0 where kv_peak gave 0 or a NaN.
  void (*kv_encode)(const std::byte* elements, std::size_t n, float peak, std::byte* codes);

  /// elements[i] = codes[i] * (1 / 127 in f32) * peak, each product rounded to f32; then to bf16 in
  /// bf16 mode. Encoding these gives the same peak and codes.
  void (*kv_decode)(const std::byte* codes, std::size_t n, float peak, std::byte* elements);
};

/// The kernels of one instruction set.
struct Kernels {
  /// Groups that so many rows are split into: rows of one share each load of weights.
  std::size_t (*groups)(std::size_t rows);
  std::size_t output_multiple;  // begin and end of matmul ranges had best be multiples of it
  std::size_t panel_rows;       // from so many rows on, matmul works in panels of
  std::size_t panel_outputs;    // so many outputs: ranges had best be multiples of it
  std::size_t scratch_bytes;    // of each thread in matmul
  /// Bytes of these that a product of so many rows touches; more rows never touch fewer.
  std::size_t (*touched_scratch_bytes)(std::size_t rows);
  std::size_t (*touched_scratch_bytes_in_by_out)(std::size_t rows);
  ModeKernels mode[2];  // by ComputeMode: f32, bf16

  /// out[i] = weights[i] as f32; n elements, of mxfp4 a multiple of 32. Exact.
  void (*widen[kWeightTypes])(const std::byte* weights, const std::byte* scales, float* out,
                              std::size_t n);

  /// x[r][i] += bias[i], in place; x [rows, size], rows `x_stride` floats apart.
  void (*add_bias)(float* x, std::size_t x_stride, std::size_t rows, const float* bias,
                   std::size_t size);

  /// Root-mean-square norm of each row, scaled by a learned weight:
  ///
  ///   out[r][i] = x[r][i] / sqrt(mean_j(x[r][j]^2) + eps) * weight[i]
  ///
  /// x, out [rows, size] f32, packed; may be the same memory. weight [size].
  /// Within 1e-5, relative. Source: Zhang and Sennrich, 2019, eq. 4.
  void (*rms_norm)(const float* x, const float* weight, float eps, float* out, std::size_t rows,
                   std::size_t size);

  /// out[r][i] = (x[r][i] - mean_r) / sqrt(var_r + eps) * weight[i] + bias[i]; bias may be
  /// null. x, out [rows, size] f32, packed; may be the same memory. Within 1e-5 * (|out - bias| +
  /// |bias| + |weight|). Source: Ba, Kiros, Hinton, "Layer Normalization", 2016, eq. 4.
  void (*layer_norm)(const float* x, const float* weight, const float* bias, float eps, float* out,
                     std::size_t rows, std::size_t size);

  /// x[i] += y[i] * y_scale; n values. One rounding.
  void (*add)(float* x, const float* y, float y_scale, std::size_t n);

  /// x[i] *= factor; n values.
  void (*scale)(float* x, float factor, std::size_t n);

  /// x[i] /= divisor; n values. One rounding.
  void (*divide)(float* x, float divisor, std::size_t n);

  /// x[i] = cap * tanh(x[i] / cap); n values. Within 3e-7, relative.
  void (*soft_cap)(float* x, float cap, std::size_t n);

  /// out[i] = activation(gate[i]) * up[i]; up may be null: then without it. n values; out may be
  /// gate. Indexed by Activation: silu, gelu, gelu_tanh, relu, relu_squared, sigmoid. Within 1e-6,
  /// relative; gelu 2e-6 where |gate| < 6.
  void (*activate[6])(const float* gate, const float* up, float* out, std::size_t n);

  /// out[i] = (up + 1) * (gate / (1 + e^-(gate * alpha))) of n pairs (gate, up), the gate at most
  /// `limit`, up from -limit to limit. Within 1e-6, relative. Source: Transformers,
  /// GptOssExperts._apply_gate.
  void (*clamped_swiglu)(const float* gate_up, float alpha, float limit, float* out, std::size_t n);

  /// cos_out, sin_out [rows, pairs]: of the f32 product positions[r] * inverse_frequencies[i],
  /// exact to 1 ulp, then times `magnitude`.
  void (*rotary_table)(const std::uint32_t* positions, std::size_t rows,
                       const float* inverse_frequencies, std::size_t pairs, float magnitude,
                       float* cos_out, float* sin_out);

  /// Rotates pairs (a, b) of the first 2 * pairs elements of each head, in place:
  /// a' = a cos - b sin, b' = b cos + a sin. Pairs are (x[i], x[i + pairs]), or (x[2i], x[2i + 1])
  /// where interleaved. x [rows, heads, head_size], rows `x_stride` floats apart; cos, sin
  /// [rows, pairs]. Source: Su et al., "RoFormer", 2021, eq. 34.
  void (*rotate)(float* x, std::size_t x_stride, std::size_t rows, std::size_t heads,
                 std::size_t head_size, const float* cos, const float* sin, std::size_t pairs,
                 bool interleaved);

  /// Outputs of channels [begin, end) of all rows; see `Backend::causal_conv`. Within 1e-6 *
  /// sum |x * weight|.
  void (*causal_conv)(const float* x, const float* weight, std::size_t channels, std::size_t taps,
                      const ConvLine* lines, std::size_t line_count, std::size_t begin,
                      std::size_t end, float* out);

  /// x[r][h] *= scale / sqrt(sum_j x[r][h][j]^2 + eps); see `Backend::l2_norm`. Within 1e-6,
  /// relative.
  void (*l2_norm)(float* x, std::size_t x_stride, std::size_t rows, std::size_t heads,
                  std::size_t size, float eps, float scale);

  /// decay = -e^a_log softplus(a + dt_bias), beta = sigmoid(b); see `Backend::delta_gates`. Within
  /// 2e-6, relative.
  void (*delta_gates)(const float* a, const float* b, const float* a_log, const float* dt_bias,
                      std::size_t rows, std::size_t heads, float* decay, float* beta);

  /// Floats of scratch of one key head in `delta_rule`.
  std::size_t (*delta_scratch_floats)(const DeltaLayout& layout);

  /// All value heads of one key head, of all lines. Within 2e-5 of the largest value of the truth,
  /// where states and values have size 1.
  void (*delta_rule)(const DeltaRule& rule, std::size_t key_head, float* scratch);

  /// exp and tanh of n values, for tests of their accuracy: 1 and 2 ulp.
  void (*exp)(const float* x, float* out, std::size_t n);
  void (*tanh)(const float* x, float* out, std::size_t n);
};

// One per cpu/isa_*.cc. Calling a kernel of a table that the machine lacks is an illegal
// instruction; supported_isas() in backend.h knows.
extern const Kernels kScalarKernels;
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512Kernels;
extern const Kernels kAvx512Bf16Kernels;

}  // namespace ollm::backend::cpu
