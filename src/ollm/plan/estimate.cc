#include "ollm/plan/estimate.h"

#include <algorithm>
#include <cmath>

namespace ollm::plan {
namespace {

// The start of a process that loads nothing, planning included (measured: ollm plan on a small
// model).
constexpr double kStartSeconds = 0.02;

// What a whole model reaches of what its kernels reach alone, and a streamed sweep of a bare
// reader: norms, activations and waking threads stand between (ollm bench run, 1B and 8B shapes).
constexpr double kModelShare = 0.92;
constexpr double kStreamShare = 0.95;

struct Arithmetic {
  double layers = 0;     // operations of all matrix products of one row
  double head = 0;       // of the head, one row
  double attention = 0;  // of one row for every token that it sees
};

Arithmetic arithmetic_of(const models::Composition& composition) {
  Arithmetic out;
  out.layers = 2.0 * static_cast<double>(layer_multiply_adds_per_row(composition));
  out.head = 2.0 * static_cast<double>(head_multiply_adds_per_row(composition));
  for (const models::LayerSpec& layer : composition.layers)
    if (const models::AttentionSpec* mixer = models::attention_of(layer))
      out.attention += 4.0 * static_cast<double>(mixer->heads * mixer->head_dim);
  return out;
}

struct SweepTime {
  double disk = 0, memory = 0, compute = 0;
  double seconds() const { return std::max({disk, memory, compute}); }
};

}  // namespace

Estimate estimate(const models::Composition& composition, const SweepSizes& sizes,
                  const machine::Rates& rates, const Workload& workload) {
  const Arithmetic work = arithmetic_of(composition);
  const auto sequences = static_cast<double>(std::max<std::size_t>(1, workload.sequences));
  const double kv_token = static_cast<double>(sizes.kv_bytes_per_token);

  // `rows` rows that see `seen` tokens each on average, `logits` of them through the head.
  const auto sweep = [&](double rows, double seen, double logits) {
    SweepTime time;
    double disk = static_cast<double>(sizes.body_stream_bytes);
    double memory = static_cast<double>(sizes.body_bytes);
    double flops = rows * work.layers;
    if (logits > 0) {
      disk += static_cast<double>(sizes.head_stream_bytes);
      memory += static_cast<double>(sizes.head_bytes);
      flops += logits * work.head;
    }
    time.disk = disk / (rates.disk_bytes_per_second * kStreamShare);
    time.compute = flops / (rates.matmul_flops(rows) * kModelShare);
    time.compute += rows * seen * work.attention / rates.attention_flops;
    // Rows of one sequence share the reading of its KV.
    memory += std::min(rows, sequences) * seen * kv_token;
    time.memory = memory / (rates.memory_bytes_per_second * kModelShare);
    return time;
  };

  Estimate out;
  out.prompt_tokens = workload.prompt_tokens;
  if (out.prompt_tokens == 0 && workload.context_tokens > workload.max_new_tokens)
    out.prompt_tokens = workload.context_tokens - workload.max_new_tokens;
  const double prompt = static_cast<double>(out.prompt_tokens);
  const double new_tokens = static_cast<double>(workload.max_new_tokens);
  const double rows = std::max(1.0, prompt) * sequences;
  const double chunk =
      std::min(rows, static_cast<double>(std::max<std::size_t>(1, sizes.chunk_rows)));
  const double sweeps = std::ceil(rows / chunk);
  double prefill_s = 0;
  for (double done = 0, i = 0; i < sweeps; ++i, done += chunk) {
    const double now = std::min(chunk, rows - done);
    const double seen = (done + now / 2) / sequences;
    const bool last = i + 1 == sweeps;
    const double logits = workload.all_logits ? now : last ? sequences : 0;
    prefill_s += sweep(now, seen, logits).seconds();
  }
  out.time_to_first_token_s = prefill_s;
  out.prefill_tokens_per_second = rows / prefill_s;

  const SweepTime decode = sweep(sequences, prompt + new_tokens / 2, sequences);
  out.seconds_per_sweep = decode.seconds();
  out.bound_by = decode.disk >= std::max(decode.memory, decode.compute) && decode.disk > 0 ? "disk"
                 : decode.memory >= decode.compute ? "memory"
                                                   : "compute";
  out.decode_tokens_per_second = sequences / out.seconds_per_sweep;
  out.bytes_per_sweep = sizes.body_stream_bytes + sizes.head_stream_bytes;
  out.memory_bytes_per_sweep =
      sizes.body_bytes + sizes.head_bytes +
      static_cast<std::uint64_t>(sequences * (prompt + new_tokens / 2) * kv_token);

  out.flops_per_token = work.layers;
  // The rate depends on the rows, the rows on the rate: once more with what came out is near
  // enough.
  const SweepTime one = sweep(1, 0, 0);
  double fill = 1;
  for (int i = 0; i < 2; ++i) {
    fill = std::ceil(std::max(one.disk, one.memory) * rates.matmul_flops(fill == 1 ? 512 : fill) /
                     std::max(1.0, work.layers));
  }
  out.rows_that_fill = static_cast<std::size_t>(std::max(1.0, fill));

  out.load_s =
      kStartSeconds + static_cast<double>(sizes.pinned_bytes) / rates.disk_bytes_per_second;
  // The first of the new tokens comes out of the prefill.
  out.total_s = out.load_s + out.time_to_first_token_s +
                std::max(0.0, new_tokens - 1) * out.seconds_per_sweep;
  return out;
}

}  // namespace ollm::plan
