// How the CPU's work is split over threads. No split changes a result: every output is computed by
// one thread in one order (docs/decisions/same-bits.md).
// Leaves to others: the kernels (kernels.h) and the order itself (*.inc).
#include "ollm/backend/cpu/cpu_backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <thread>
#include <type_traits>
#include <utility>

#include "ollm/backend/float_mode.h"
#include "ollm/base/check.h"
#include "ollm/base/text_size.h"

namespace ollm::backend {

const cpu::Kernels& cpu::kernels_of(Isa isa) {
  switch (isa) {
    case Isa::avx2:
      return kAvx2Kernels;
    case Isa::avx512:
      return kAvx512Kernels;
    case Isa::avx512_bf16:
      return kAvx512Bf16Kernels;
    case Isa::scalar:
    case Isa::reference:
      break;
  }
  return kScalarKernels;
}

namespace {

constexpr std::size_t kAlignment = 64;

// Below this a loop of the pool costs more than it saves: waking a sleeping worker takes about
// 10 us, an awake one below 1 us.
constexpr std::size_t kWorkWorthThreads = 20'000;

// Weights of one part of a product of few rows: about 0.1 ms of a core's memory rate.
constexpr std::size_t kPartBytes = std::size_t{4} << 20;

// Rows of one part of attention: with a group of 4 heads of 64 its running sums (64 KiB) stay in
// the second-level cache while tiles pass.
constexpr std::size_t kAttentionRows = 64;

std::size_t type_index(const WeightFormat& format) {
  OLLM_DCHECK(unsupported_reason(format).empty());
  switch (format.element) {
    case WeightElement::f32:
      return static_cast<std::size_t>(cpu::WeightType::f32);
    case WeightElement::f16:
      return static_cast<std::size_t>(cpu::WeightType::f16);
    case WeightElement::bf16:
      return static_cast<std::size_t>(cpu::WeightType::bf16);
    default:
      OLLM_CHECK(format.element == WeightElement::e2m1);
      return static_cast<std::size_t>(cpu::WeightType::mxfp4);
  }
}

std::size_t divide_up(std::size_t n, std::size_t by) { return (n + by - 1) / by; }

std::size_t scratch_of_thread(const cpu::Kernels& kernels) {
  return divide_up(kernels.scratch_bytes, kAlignment) * kAlignment;
}

std::size_t scratch_of_key_head(const cpu::Kernels& kernels, const DeltaLayout& layout) {
  const std::size_t bytes = kernels.delta_scratch_floats(layout) * sizeof(float);
  return divide_up(bytes, kAlignment) * kAlignment;
}

// Outputs of which a part of a product has a multiple: of [in, out] those whose bf16 weights fill a
// line of the cache.
std::size_t part_multiple(const cpu::Kernels& kernels, WeightLayout layout) {
  return layout == WeightLayout::in_by_out ? 32 : kernels.output_multiple;
}

// Parts of a product that are computed at one time, each with a scratch of its own: more than there
// are cores would only hold memory.
std::size_t parts_at_once(std::size_t threads) {
  static const std::size_t cores = std::max(1U, std::thread::hardware_concurrency());
  return std::min(threads, cores);
}

// A body that the pool may keep by reference: std::function holds one pointer without allocating.
template <typename Body>
void on_pool(ThreadPool& pool, std::size_t count, const Body& body) {
  pool.parallel_for(count, [&body](std::size_t i) {
    const FloatMode mode;
    body(i);
  });
}

cpu::Attention attention_of(const AttentionOptions& options, const AttentionRows& rows,
                            std::byte* state) {
  cpu::Attention a = {};
  a.q = rows.q;
  a.out = rows.out;
  a.first_seen = rows.first_seen;
  a.end_seen = rows.end_seen;
  a.positions = rows.positions;
  a.rows = rows.rows;
  a.heads = options.heads;
  a.kv_heads = options.layout.kv_heads;
  a.key_size = options.layout.key_size;
  a.value_size = options.layout.value_size;
  a.scale = options.scale;
  a.soft_cap = options.soft_cap;
  a.sinks = options.sinks;
  a.distance_slopes = options.distance_slopes;
  a.state = state;
  return a;
}

static_assert(static_cast<int>(ComputeMode::f32) == 0 && static_cast<int>(ComputeMode::bf16) == 1);
static_assert(static_cast<int>(Activation::silu) == 0 && static_cast<int>(Activation::gelu) == 1 &&
              static_cast<int>(Activation::gelu_tanh) == 2 &&
              static_cast<int>(Activation::relu) == 3 &&
              static_cast<int>(Activation::relu_squared) == 4 &&
              static_cast<int>(Activation::sigmoid) == 5);
static_assert(kDeltaChunkTokens == 64, "delta_net.inc has its own copy");
static_assert(kTileTokens == 64 && kSpanTokens == 4096, "attention.inc has its own copies");

}  // namespace

Result<std::unique_ptr<Backend>> CpuBackend::make(const Options& options, ThreadPool& pool) {
  const std::size_t bytes =
      scratch_of_thread(cpu::kernels_of(options.isa)) * parts_at_once(pool.threads());
  Scratch scratch(static_cast<std::byte*>(std::aligned_alloc(kAlignment, bytes)),
                  [](std::byte* p) { std::free(p); });
  if (!scratch) {
    return fail(ErrorKind::out_of_budget,
                fmt::format("the system has no {} for the scratch of {} threads",
                            format_bytes(bytes), pool.threads()));
  }
  return std::unique_ptr<Backend>(new CpuBackend(options, pool, std::move(scratch)));
}

CpuBackend::CpuBackend(const Options& options, ThreadPool& pool, Scratch scratch)
    : options_(options),
      kernels_(cpu::kernels_of(options.isa)),
      mode_(kernels_.mode[static_cast<std::size_t>(options.compute)]),
      pool_(pool),
      scratch_(std::move(scratch)) {}

CpuBackend::~CpuBackend() = default;

template <typename Body>
void CpuBackend::split(std::size_t count, std::size_t multiple, std::size_t work,
                       const Body& body) {
  if (count == 0) return;
  const std::size_t units = divide_up(count, multiple);
  const std::size_t threads = pool_.threads();
  if (threads == 1 || units == 1 || work < kWorkWorthThreads) {
    const FloatMode mode;
    body(0, count);
    return;
  }
  // A few parts a thread, so that one that is held up by other processes does less.
  const std::size_t parts = std::min(units, threads * 4);
  on_pool(pool_, parts, [&](std::size_t part) {
    const std::size_t begin = units * part / parts * multiple;
    const std::size_t end = std::min(count, units * (part + 1) / parts * multiple);
    body(begin, end);
  });
}

std::size_t CpuBackend::scratch_bytes(std::size_t threads, std::size_t rows, std::size_t outputs,
                                      WeightLayout layout) const {
  // A thread's is touched where it takes a part of a product, of many rows a panel.
  const std::size_t one = layout == WeightLayout::in_by_out
                              ? kernels_.touched_scratch_bytes_in_by_out(rows)
                              : kernels_.touched_scratch_bytes(rows);
  const std::size_t part_outputs =
      rows < kernels_.panel_rows ? part_multiple(kernels_, layout) : kernels_.panel_outputs;
  return divide_up(one, kAlignment) * kAlignment *
         std::min(parts_at_once(threads), divide_up(outputs, part_outputs));
}

const cpu::ModeKernels& CpuBackend::products(LeftRounding rounding) const {
  const ComputeMode mode = rounding == LeftRounding::none ? ComputeMode::f32 : options_.compute;
  return kernels_.mode[static_cast<std::size_t>(mode)];
}

std::size_t CpuBackend::left_bytes(std::size_t rows, std::size_t cols,
                                   LeftRounding rounding) const {
  return rows * divide_up(cols, 32) * products(rounding).left_step_bytes;
}

LeftOperand CpuBackend::prepare_left(const float* x, std::size_t x_stride, std::size_t rows,
                                     std::size_t cols, std::byte* storage, LeftRounding rounding) {
  const cpu::ModeKernels& mode = products(rounding);
  const std::size_t groups = kernels_.groups(rows);
  split(groups, 1, rows * cols / 4, [&](std::size_t begin, std::size_t end) {
    mode.prepare_left(x, x_stride, rows, cols, begin, end, storage);
  });
  return {storage, rows, cols, rounding};
}

void CpuBackend::matmul(const LeftOperand& x, const WeightRows& w, float* out,
                        std::size_t out_stride) {
  if (x.rows == 0 || w.rows == 0) return;
  OLLM_DCHECK(x.cols == w.cols);
  const cpu::Matmul product = {.left = x.data,
                               .rows = x.rows,
                               .cols = x.cols,
                               .weights = w.data,
                               .scales = w.scales,
                               .outputs = w.rows,
                               .out = out,
                               .out_stride = out_stride};
  const cpu::ModeKernels& mode_kernels = products(x.rounding);
  const std::size_t type = type_index(w.format);
  const auto kernel = w.format.layout == WeightLayout::in_by_out
                          ? mode_kernels.matmul_in_by_out[type]
                          : mode_kernels.matmul[type];
  const std::size_t scratch_bytes = scratch_of_thread(kernels_);
  const std::size_t threads = pool_.threads();
  const std::size_t multiple = part_multiple(kernels_, w.format.layout);
  const std::size_t units = divide_up(w.rows, multiple);
  if (threads == 1 || units == 1 || x.rows * x.cols * w.rows / 16 < kWorkWorthThreads) {
    const FloatMode mode;
    kernel(product, 0, w.rows, scratch_.get());
    return;
  }
  // Parts are taken in order by whoever is free; each call of the body has its own scratch. A few
  // a thread, and none of many MiB: a thread that lost its core would keep the others waiting.
  const std::size_t weight_bytes = size_bytes(w.format, w.rows * w.cols);
  // Of [in, out] a part reads a run of every stored row: the longer, the faster memory gives it.
  const std::size_t least = w.format.layout == WeightLayout::in_by_out
                                ? threads * 2
                                : std::max(threads * 4, weight_bytes / kPartBytes);
  const std::size_t parts = std::min(
      units, x.rows < kernels_.panel_rows ? least : divide_up(w.rows, kernels_.panel_outputs));
  std::atomic<std::size_t> next{0};
  on_pool(pool_, parts_at_once(threads), [&](std::size_t place) {
    std::byte* scratch = scratch_.get() + place * scratch_bytes;
    for (std::size_t part = next.fetch_add(1); part < parts; part = next.fetch_add(1)) {
      const std::size_t begin = units * part / parts * multiple;
      const std::size_t end = std::min(w.rows, units * (part + 1) / parts * multiple);
      kernel(product, begin, end, scratch);
    }
  });
}

void CpuBackend::add_bias(float* x, std::size_t x_stride, std::size_t rows,
                          const WeightVector& bias) {
  split(rows, 1, rows * bias.size / 8, [&](std::size_t begin, std::size_t end) {
    kernels_.add_bias(x + begin * x_stride, x_stride, end - begin, bias.data, bias.size);
  });
}

void CpuBackend::widen(const WeightRows& w, float* out) {
  const std::size_t type = type_index(w.format);
  if (w.format.layout == WeightLayout::in_by_out) {
    // One value at a time: no embedding is stored so.
    const FloatMode mode;
    for (std::size_t j = 0; j < w.rows; ++j)
      for (std::size_t i = 0; i < w.cols; ++i)
        kernels_.widen[type](w.data + size_bytes(w.format, i * w.rows + j), nullptr, out++, 1);
    return;
  }
  const std::size_t n = w.rows * w.cols;
  split(n, 32, n / 8, [&](std::size_t begin, std::size_t end) {
    const std::byte* scales = w.scales == nullptr ? nullptr : w.scales + begin / 32;
    kernels_.widen[type](w.data + size_bytes(w.format, begin), scales, out + begin, end - begin);
  });
}

void CpuBackend::rms_norm(const float* x, const WeightVector& weight, float eps, float* out,
                          std::size_t rows) {
  split(rows, 1, rows * weight.size / 8, [&](std::size_t begin, std::size_t end) {
    kernels_.rms_norm(x + begin * weight.size, weight.data, eps, out + begin * weight.size,
                      end - begin, weight.size);
  });
}

void CpuBackend::layer_norm(const float* x, const WeightVector& weight, const WeightVector& bias,
                            float eps, float* out, std::size_t rows) {
  split(rows, 1, rows * weight.size / 4, [&](std::size_t begin, std::size_t end) {
    kernels_.layer_norm(x + begin * weight.size, weight.data, bias.data, eps,
                        out + begin * weight.size, end - begin, weight.size);
  });
}

void CpuBackend::add(float* x, const float* y, float y_scale, std::size_t n) {
  split(n, 16, n / 8, [&](std::size_t begin, std::size_t end) {
    kernels_.add(x + begin, y + begin, y_scale, end - begin);
  });
}

void CpuBackend::add_weighted(float* out, std::size_t out_stride, const std::uint32_t* rows,
                              const float* weights, const float* x, std::size_t n_rows,
                              std::size_t size) {
  split(n_rows, 1, n_rows * size / 8, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i)
      kernels_.add(out + rows[i] * out_stride, x + i * size, weights[i], size);
  });
}

void CpuBackend::multiply_rows(float* x, std::size_t n_rows, std::size_t size,
                               const float* factors) {
  split(n_rows, 1, n_rows * size / 8, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) kernels_.scale(x + i * size, factors[i], size);
  });
}

void CpuBackend::scale(float* x, float factor, std::size_t n) {
  split(n, 16, n / 8, [&](std::size_t begin, std::size_t end) {
    kernels_.scale(x + begin, factor, end - begin);
  });
}

void CpuBackend::divide(float* x, float divisor, std::size_t n) {
  split(n, 16, n / 8, [&](std::size_t begin, std::size_t end) {
    kernels_.divide(x + begin, divisor, end - begin);
  });
}

void CpuBackend::soft_cap(float* x, float cap, std::size_t n) {
  split(n, 16, n, [&](std::size_t begin, std::size_t end) {
    kernels_.soft_cap(x + begin, cap, end - begin);
  });
}

void CpuBackend::activate(Activation activation, const float* gate, const float* up, float* out,
                          std::size_t n) {
  const auto kernel = kernels_.activate[static_cast<std::size_t>(activation)];
  split(n, 16, n, [&](std::size_t begin, std::size_t end) {
    kernel(gate + begin, up == nullptr ? nullptr : up + begin, out + begin, end - begin);
  });
}

void CpuBackend::clamped_swiglu(const float* gate_up, float alpha, float limit, float* out,
                                std::size_t n) {
  split(n, 16, n, [&](std::size_t begin, std::size_t end) {
    kernels_.clamped_swiglu(gate_up + 2 * begin, alpha, limit, out + begin, end - begin);
  });
}

void CpuBackend::rotary_table(const std::uint32_t* positions, std::size_t rows,
                              const float* inverse_frequencies, std::size_t pairs, float magnitude,
                              float* cos_out, float* sin_out) {
  split(rows, 1, rows * pairs * 20, [&](std::size_t begin, std::size_t end) {
    kernels_.rotary_table(positions + begin, end - begin, inverse_frequencies, pairs, magnitude,
                          cos_out + begin * pairs, sin_out + begin * pairs);
  });
}

void CpuBackend::rotate(float* x, std::size_t x_stride, std::size_t rows, std::size_t heads,
                        std::size_t head_size, const float* cos, const float* sin,
                        std::size_t pairs, bool interleaved) {
  split(rows, 1, rows * heads * pairs / 2, [&](std::size_t begin, std::size_t end) {
    kernels_.rotate(x + begin * x_stride, x_stride, end - begin, heads, head_size,
                    cos + begin * pairs, sin + begin * pairs, pairs, interleaved);
  });
}

void CpuBackend::store_kv(const KvLayout& layout, const float* k, const float* v,
                          std::span<const KvSlot> slots) {
  OLLM_DCHECK(layout.mode == options_.compute);
  const std::size_t key_row = layout.kv_heads * layout.key_size;
  const std::size_t value_row = layout.kv_heads * layout.value_size;
  // Sixteen tokens share the cache lines of their keys.
  split(slots.size(), 16, slots.size() * (key_row + value_row),
        [&](std::size_t begin, std::size_t end) {
          for (std::size_t row = begin; row < end; ++row) {
            OLLM_DCHECK(slots[row].slot < kTileTokens);
            mode_.store_kv(layout.kv_heads, layout.key_size, layout.value_size, k + row * key_row,
                           v + row * value_row, slots[row].tile, slots[row].slot);
          }
        });
}

void CpuBackend::causal_conv(const float* x, const WeightVector& weight, std::size_t taps,
                             std::span<const ConvLine> lines, float* out) {
  OLLM_DCHECK(taps > 0 && taps <= kMostConvTaps);
  const std::size_t channels = weight.size / taps;
  std::size_t rows = 0;
  for (const ConvLine& line : lines) rows += line.rows;
  split(channels, 64, (rows + 4) * weight.size / 8, [&](std::size_t begin, std::size_t end) {
    kernels_.causal_conv(x, weight.data, channels, taps, lines.data(), lines.size(), begin, end,
                         out);
  });
}

void CpuBackend::l2_norm(float* x, std::size_t x_stride, std::size_t rows, std::size_t heads,
                         std::size_t size, float eps, float scale) {
  split(rows, 1, rows * heads * size / 8, [&](std::size_t begin, std::size_t end) {
    kernels_.l2_norm(x + begin * x_stride, x_stride, end - begin, heads, size, eps, scale);
  });
}

void CpuBackend::delta_gates(const float* a, const float* b, const WeightVector& a_log,
                             const WeightVector& dt_bias, std::size_t rows, float* decay,
                             float* beta) {
  const std::size_t heads = a_log.size;
  split(rows, 1, rows * heads * 4, [&](std::size_t begin, std::size_t end) {
    const std::size_t at = begin * heads;
    kernels_.delta_gates(a + at, b + at, a_log.data, dt_bias.data, end - begin, heads, decay + at,
                         beta + at);
  });
}

std::size_t CpuBackend::delta_scratch_bytes(const DeltaLayout& layout) const {
  return layout.key_heads * scratch_of_key_head(kernels_, layout);
}

void CpuBackend::delta_rule(const DeltaLayout& layout, const DeltaRows& rows,
                            std::span<const DeltaLine> lines, std::byte* scratch) {
  if (lines.empty()) return;
  const cpu::DeltaRule rule = {layout, rows, lines.data(), lines.size()};
  const std::size_t bytes = scratch_of_key_head(kernels_, layout);
  on_pool(pool_, layout.key_heads, [&](std::size_t head) {
    kernels_.delta_rule(rule, head, reinterpret_cast<float*>(scratch + head * bytes));
  });
}

std::size_t CpuBackend::attention_state_bytes(const AttentionOptions& options,
                                              std::size_t rows) const {
  AttentionRows shape;
  shape.rows = rows;
  return mode_.attention_state_bytes(attention_of(options, shape, nullptr));
}

void CpuBackend::attend(const cpu::Attention& attention, const AttentionLine& line,
                        std::size_t kv_head, std::size_t row_begin, std::size_t row_end) {
  if (line.first_run) mode_.attention_begin(attention, kv_head, row_begin, row_end);
  mode_.attention_fold(attention, kv_head, row_begin, row_end, line.tiles.data(), line.tiles.size(),
                       line.first_token);
  if (line.last_run) mode_.attention_finish(attention, kv_head, row_begin, row_end);
}

void CpuBackend::attention(const AttentionOptions& options, const AttentionRows& rows,
                           std::span<const AttentionLine> lines, std::byte* state) {
  if (lines.empty()) return;
  const cpu::Attention a = attention_of(options, rows, state);
  const std::size_t kv_heads = options.layout.kv_heads;
  // Line i has the places from first_row / kAttentionRows + i on, up to those of the next: one for
  // each of its blocks of rows, and mostly one more, which stays empty. So a place tells its line,
  // and no table of all blocks is made.
  const auto after = [&](std::size_t place, const AttentionLine& line) {
    const auto index = static_cast<std::size_t>(&line - lines.data());
    return place < line.first_row / kAttentionRows + index;
  };
  const std::size_t first_place = lines.front().first_row / kAttentionRows;
  const std::size_t places =
      (lines.back().first_row + lines.back().rows) / kAttentionRows + lines.size() - first_place;
  const auto part = [&](std::size_t place, std::size_t kv_head) {
    const auto next = std::upper_bound(lines.begin(), lines.end(), place, after);
    const auto index = static_cast<std::size_t>(next - lines.begin()) - 1;
    const AttentionLine& line = lines[index];
    OLLM_DCHECK(line.first_token % kTileTokens == 0 && line.first_row + line.rows <= rows.rows);
    const std::size_t blocks = divide_up(line.rows, kAttentionRows);
    const std::size_t before = place - line.first_row / kAttentionRows - index;
    if (before >= blocks) return;
    // Later rows see more tokens, so they go first and the short parts fill the gaps.
    const std::size_t block = blocks - 1 - before;
    attend(a, line, kv_head, line.first_row + line.rows * block / blocks,
           line.first_row + line.rows * (block + 1) / blocks);
  };
  on_pool(pool_, places * kv_heads,
          [&](std::size_t i) { part(first_place + i / kv_heads, i % kv_heads); });
}

}  // namespace ollm::backend
