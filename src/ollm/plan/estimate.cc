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

// The sweeps of a run, one after the other.
class Sweeps {
 public:
  Sweeps(const models::Composition& composition, const SweepSizes& sizes,
         const machine::Rates& rates, const Workload& workload)
      : work(arithmetic_of(composition)), sizes_(sizes), rates_(rates), workload_(workload) {
    sequences = static_cast<double>(std::max<std::size_t>(1, workload.sequences));
    prompt_tokens = workload.prompt_tokens;
    if (prompt_tokens == 0 && workload.context_tokens > workload.max_new_tokens)
      prompt_tokens = workload.context_tokens - workload.max_new_tokens;
    new_tokens = static_cast<double>(workload.max_new_tokens);
    rows = std::max(1.0, static_cast<double>(prompt_tokens)) * sequences;
  }

  // Bytes of keys and values that a sweep reads from disk where `stored` tokens of all sequences
  // stand before its rows.
  double kv_read(double stored) const {
    if (!sizes_.kv_resident_tokens) return 0;
    const auto resident = static_cast<double>(*sizes_.kv_resident_tokens);
    double bytes = 0;
    for (const KvGroup& group : sizes_.kv_groups) {
      const double seen = group.window == 0
                              ? stored
                              : std::min(stored, static_cast<double>(group.window) * sequences);
      bytes += std::max(0.0, seen - resident) * static_cast<double>(group.bytes_per_token);
    }
    return bytes;
  }

  // Bytes that are written of the tokens from `begin` to `end` of all sequences.
  double kv_written(double begin, double end) const {
    if (!sizes_.kv_written_from) return 0;
    const auto from = static_cast<double>(*sizes_.kv_written_from);
    return std::max(0.0, end - std::max(begin, from)) *
           static_cast<double>(sizes_.kv_written_bytes_per_token);
  }

  // `now` rows that see `seen` tokens each on average, `logits` of them through the head; `kv_disk`
  // bytes of keys and values are read and written beside.
  SweepTime sweep(double now, double seen, double logits, double kv_disk) const {
    SweepTime time;
    double disk = static_cast<double>(sizes_.body_stream_bytes);
    double memory = static_cast<double>(sizes_.body_bytes);
    double flops = now * work.layers;
    if (logits > 0) {
      disk += static_cast<double>(sizes_.head_stream_bytes);
      memory += static_cast<double>(sizes_.head_bytes);
      flops += logits * work.head;
    }
    time.disk = disk / (rates_.disk_bytes_per_second * kStreamShare);
    if (kv_disk > 0) {
      const double rate = sizes_.kv_disk_bytes_per_second > 0 ? sizes_.kv_disk_bytes_per_second
                                                              : rates_.disk_bytes_per_second;
      time.disk += kv_disk / (rate * kStreamShare);
    }
    time.compute = flops / (rates_.matmul_flops(now) * kModelShare);
    time.compute += now * seen * work.attention / rates_.attention_flops;
    // Rows of one sequence share the reading of its KV.
    memory += std::min(now, sequences) * seen * static_cast<double>(sizes_.kv_bytes_per_token);
    time.memory = memory / (rates_.memory_bytes_per_second * kModelShare);
    return time;
  }

  // Calls `visit(rows, tokens that each sees on average, rows with logits, bytes of keys and values
  // read, bytes written)` for each sweep of the prompt.
  template <typename Visit>
  void prefill(Visit visit) const {
    const double chunk =
        std::min(rows, static_cast<double>(std::max<std::size_t>(1, sizes_.chunk_rows)));
    const double sweeps = std::ceil(rows / chunk);
    for (double done = 0, i = 0; i < sweeps; ++i, done += chunk) {
      const double now = std::min(chunk, rows - done);
      const double seen = (done + now / 2) / sequences;
      const bool last = i + 1 == sweeps;
      const double logits = workload_.all_logits ? now : last ? sequences : 0;
      visit(now, seen, logits, kv_read(done), kv_written(done, done + now));
    }
  }

  // Of all sequences together, where half of the new tokens are there.
  double decode_stored() const {
    return (static_cast<double>(prompt_tokens) + new_tokens / 2) * sequences;
  }
  SweepTime decode() const {
    const double stored = decode_stored();
    return sweep(sequences, stored / sequences, sequences,
                 kv_read(stored) + kv_written(stored, stored + sequences));
  }

  Arithmetic work;
  double sequences = 1, new_tokens = 0, rows = 1;
  std::size_t prompt_tokens = 0;  // of one sequence

 private:
  const SweepSizes& sizes_;
  const machine::Rates& rates_;
  const Workload& workload_;
};

}  // namespace

Estimate estimate(const models::Composition& composition, const SweepSizes& sizes,
                  const machine::Rates& rates, const Workload& workload) {
  const Sweeps sweeps(composition, sizes, rates, workload);
  Estimate out;
  out.prompt_tokens = sweeps.prompt_tokens;
  sweeps.prefill([&](double now, double seen, double logits, double read, double written) {
    out.time_to_first_token_s += sweeps.sweep(now, seen, logits, read + written).seconds();
  });
  out.prefill_tokens_per_second = sweeps.rows / out.time_to_first_token_s;

  const SweepTime decode = sweeps.decode();
  out.seconds_per_sweep = decode.seconds();
  out.bound_by = decode.disk >= std::max(decode.memory, decode.compute) && decode.disk > 0 ? "disk"
                 : decode.memory >= decode.compute ? "memory"
                                                   : "compute";
  out.decode_tokens_per_second = sweeps.sequences / out.seconds_per_sweep;
  out.bytes_per_sweep = sizes.body_stream_bytes + sizes.head_stream_bytes +
                        static_cast<std::uint64_t>(sweeps.kv_read(sweeps.decode_stored()));
  out.memory_bytes_per_sweep =
      sizes.body_bytes + sizes.head_bytes +
      static_cast<std::uint64_t>(sweeps.decode_stored() *
                                 static_cast<double>(sizes.kv_bytes_per_token));

  out.flops_per_token = sweeps.work.layers;
  // The rate depends on the rows, the rows on the rate: once more with what came out is near
  // enough.
  const SweepTime one = sweeps.sweep(1, 0, 0, 0);
  double fill = 1;
  for (int i = 0; i < 2; ++i) {
    fill = std::ceil(std::max(one.disk, one.memory) * rates.matmul_flops(fill == 1 ? 512 : fill) /
                     std::max(1.0, sweeps.work.layers));
  }
  out.rows_that_fill = static_cast<std::size_t>(std::max(1.0, fill));

  out.load_s =
      kStartSeconds + static_cast<double>(sizes.pinned_bytes) / rates.disk_bytes_per_second;
  // The first of the new tokens comes out of the prefill.
  out.total_s = out.load_s + out.time_to_first_token_s +
                std::max(0.0, sweeps.new_tokens - 1) * out.seconds_per_sweep;
  return out;
}

KvTraffic kv_traffic(const models::Composition& composition, const SweepSizes& sizes,
                     const machine::Rates& rates, const Workload& workload) {
  const Sweeps sweeps(composition, sizes, rates, workload);
  double read = 0, wait_s = 0;
  sweeps.prefill([&](double now, double seen, double logits, double reads, double written) {
    read += reads;
    wait_s += sweeps.sweep(now, seen, logits, reads + written).seconds() -
              sweeps.sweep(now, seen, logits, written).seconds();
  });
  KvTraffic out;
  out.prefill_read_bytes = static_cast<std::uint64_t>(read);
  out.read_bytes_per_token =
      static_cast<std::uint64_t>(sweeps.kv_read(sweeps.decode_stored()) / sweeps.sequences);
  // The last of the new tokens is never run.
  const double tokens = sweeps.rows + std::max(0.0, sweeps.new_tokens - 1) * sweeps.sequences;
  out.written_bytes = static_cast<std::uint64_t>(sweeps.kv_written(0, tokens));
  out.prefill_wait_s = wait_s;
  return out;
}

}  // namespace ollm::plan
