// The truth that every table is compared with: plain loops, double sums, functions of the C
// library. Leaves to others: speed, and the order of additions (cpu/); its bits are its own.
#pragma once

#include <cstddef>

#include "ollm/backend/backend.h"

namespace ollm::backend {

/// Rounds the same operands to bf16 as the tables do in bf16 mode, and nothing else.
/// Single-threaded.
class ReferenceBackend final : public Backend {
 public:
  explicit ReferenceBackend(ComputeMode mode) : mode_(mode) {}

  Options options() const override { return {Isa::reference, mode_}; }

  std::size_t scratch_bytes(std::size_t, std::size_t, std::size_t, WeightLayout) const override {
    return 0;
  }
  std::size_t left_bytes(std::size_t rows, std::size_t cols, LeftRounding rounding) const override;
  LeftOperand prepare_left(const float* x, std::size_t x_stride, std::size_t rows, std::size_t cols,
                           std::byte* storage, LeftRounding rounding) override;
  void matmul(const LeftOperand& x, const WeightRows& w, float* out,
              std::size_t out_stride) override;
  void add_bias(float* x, std::size_t x_stride, std::size_t rows,
                const WeightVector& bias) override;
  void widen(const WeightRows& w, float* out) override;
  void rms_norm(const float* x, const WeightVector& weight, float eps, float* out,
                std::size_t rows) override;
  void layer_norm(const float* x, const WeightVector& weight, const WeightVector& bias, float eps,
                  float* out, std::size_t rows) override;
  void add(float* x, const float* y, float y_scale, std::size_t n) override;
  void add_weighted(float* out, std::size_t out_stride, const std::uint32_t* rows,
                    const float* weights, const float* x, std::size_t n_rows,
                    std::size_t size) override;
  void multiply_rows(float* x, std::size_t n_rows, std::size_t size, const float* factors) override;
  void scale(float* x, float factor, std::size_t n) override;
  void divide(float* x, float divisor, std::size_t n) override;
  void soft_cap(float* x, float cap, std::size_t n) override;
  void activate(Activation activation, const float* gate, const float* up, float* out,
                std::size_t n) override;
  void clamped_swiglu(const float* gate_up, float alpha, float limit, float* out,
                      std::size_t n) override;
  void rotary_table(const std::uint32_t* positions, std::size_t rows,
                    const float* inverse_frequencies, std::size_t pairs, float magnitude,
                    float* cos_out, float* sin_out) override;
  void rotate(float* x, std::size_t x_stride, std::size_t rows, std::size_t heads,
              std::size_t head_size, const float* cos, const float* sin, std::size_t pairs,
              bool interleaved) override;
  void store_kv(const KvLayout& layout, const float* k, const float* v,
                std::span<const KvSlot> slots) override;
  void causal_conv(const float* x, const WeightVector& weight, std::size_t taps,
                   std::span<const ConvLine> lines, float* out) override;
  void l2_norm(float* x, std::size_t x_stride, std::size_t rows, std::size_t heads,
               std::size_t size, float eps, float scale) override;
  void delta_gates(const float* a, const float* b, const WeightVector& a_log,
                   const WeightVector& dt_bias, std::size_t rows, float* decay,
                   float* beta) override;
  std::size_t delta_scratch_bytes(const DeltaLayout&) const override { return 0; }
  void delta_rule(const DeltaLayout& layout, const DeltaRows& rows,
                  std::span<const DeltaLine> lines, std::byte* scratch) override;
  std::size_t attention_state_bytes(const AttentionOptions& options,
                                    std::size_t rows) const override;
  void attention(const AttentionOptions& options, const AttentionRows& rows,
                 std::span<const AttentionLine> lines, std::byte* state) override;

 private:
  const ComputeMode mode_;
};

}  // namespace ollm::backend
