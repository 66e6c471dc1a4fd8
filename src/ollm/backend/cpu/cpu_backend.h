// The CPU's backend: splits work over the threads of a pool and calls one table of kernels.
// Leaves to others: what a kernel computes (kernels.h).
#pragma once

#include <cstddef>
#include <memory>

#include "ollm/backend/backend.h"
#include "ollm/backend/cpu/kernels.h"

namespace ollm::backend {

namespace cpu {

/// The table of an instruction set; the scalar one for the reference, which has none of its own.
const Kernels& kernels_of(Isa isa);

}  // namespace cpu

class CpuBackend final : public Backend {
 public:
  /// Allocates scratch memory (about 0.6 MiB) for each thread of the pool that finds a core, once;
  /// pages are there once a product of many rows touches them. The machine must have options.isa.
  /// Errors: out_of_budget where the system has no memory.
  static Result<std::unique_ptr<Backend>> make(const Options& options, ThreadPool& pool);
  ~CpuBackend() override;

  Options options() const override { return options_; }

  std::size_t scratch_bytes(std::size_t threads, std::size_t rows, std::size_t outputs,
                            WeightLayout layout) const override;
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
  std::size_t delta_scratch_bytes(const DeltaLayout& layout) const override;
  void delta_rule(const DeltaLayout& layout, const DeltaRows& rows,
                  std::span<const DeltaLine> lines, std::byte* scratch) override;
  std::size_t attention_state_bytes(const AttentionOptions& options,
                                    std::size_t rows) const override;
  void attention(const AttentionOptions& options, const AttentionRows& rows,
                 std::span<const AttentionLine> lines, std::byte* state) override;

 private:
  using Scratch = std::unique_ptr<std::byte, void (*)(std::byte*)>;
  CpuBackend(const Options& options, ThreadPool& pool, Scratch scratch);

  // Calls body(begin, end) on parts of [0, count) that start at multiples of `multiple`, on the
  // pool's threads or, where `work` (about nanoseconds of one core) is small, on this one.
  template <typename Body>
  void split(std::size_t count, std::size_t multiple, std::size_t work, const Body& body);
  // Those by which products of such a left operand are computed.
  const cpu::ModeKernels& products(LeftRounding rounding) const;
  // One kv head of rows [row_begin, row_end) of a line.
  void attend(const cpu::Attention& attention, const AttentionLine& line, std::size_t kv_head,
              std::size_t row_begin, std::size_t row_end);

  const Options options_;
  const cpu::Kernels& kernels_;
  const cpu::ModeKernels& mode_;
  ThreadPool& pool_;
  Scratch scratch_;  // of kernels_.scratch_bytes each
};

}  // namespace ollm::backend
