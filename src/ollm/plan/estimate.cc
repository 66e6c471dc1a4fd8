#include "ollm/plan/estimate.h"

#include <algorithm>
#include <array>
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

// A sweep that takes no more than so many times another one's time takes as long.
constexpr double kAsLong = 1.02;

struct Arithmetic {
  double layers = 0;     // operations of all matrix products of one row
  double experts = 0;    // of them, of experts
  double head = 0;       // of the head, one row
  double attention = 0;  // of one row for every token that it sees
};

Arithmetic arithmetic_of(const models::Composition& composition) {
  Arithmetic out;
  out.layers = 2.0 * static_cast<double>(layer_multiply_adds_per_row(composition));
  out.experts = 2.0 * static_cast<double>(expert_multiply_adds_per_row(composition));
  out.head = 2.0 * static_cast<double>(head_multiply_adds_per_row(composition));
  for (const models::LayerSpec& layer : composition.layers)
    if (const models::AttentionSpec* mixer = models::attention_of(layer))
      out.attention += 4.0 * static_cast<double>(mixer->heads * mixer->head_dim);
  return out;
}

struct SweepTime {
  double weights_disk = 0, kv_disk = 0, memory = 0, compute = 0;
  double disk() const { return weights_disk + kv_disk; }
  double seconds() const { return std::max({disk(), memory, compute}); }
  Binding bound_by() const {
    if (disk() > 0 && disk() >= std::max(memory, compute))
      return kv_disk > weights_disk ? Binding::kv_disk : Binding::disk;
    return memory >= compute ? Binding::memory : Binding::compute;
  }
};

// What a sweep computes.
struct SweepRows {
  double rows = 0;
  double seen = 0;     // tokens that they see, all rows together
  double walked = 0;   // tokens whose keys and values are read: rows of one line share them
  double logits = 0;   // rows of which logits are wanted
  double kv_disk = 0;  // bytes of keys and values that are read and written
  bool first = false;  // of the run: no experts are kept yet
};

// Jobs may be larger than bytes can be counted.
std::uint64_t whole_bytes(double bytes) {
  return static_cast<std::uint64_t>(std::min(bytes, 1e18));
}

// Sweeps are looked at one by one up to so many, then as so many equal parts.
constexpr double kMostSweepsLookedAt = 256;

// Calls `visit(rows, rows before them, how many such sweeps)` for the sweeps of `rows` rows,
// `chunk` in each; the last of them by itself.
template <typename Visit>
void for_each_sweep(double rows, double chunk, Visit visit) {
  const double sweeps = std::ceil(rows / chunk);
  const double step = std::ceil((sweeps - 1) / kMostSweepsLookedAt);
  double done = 0;
  for (double i = 0; i + 1 < sweeps;) {
    const double times = std::min(step, sweeps - 1 - i);
    visit(chunk, done + chunk * (times - 1) / 2, times);
    i += times;
    done += chunk * times;
  }
  visit(rows - done, done, 1.0);
}

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
    prompt_rows = std::max(1.0, static_cast<double>(prompt_tokens));
    rows = prompt_rows * sequences;
    chunk_rows = static_cast<double>(std::max<std::size_t>(1, sizes.chunk_rows));
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
    return bytes * sizes_.kv_disk_share;
  }

  // Bytes that are written of the tokens from `begin` to `end` of all sequences.
  double kv_written(double begin, double end) const {
    if (!sizes_.kv_written_from) return 0;
    const auto from = static_cast<double>(*sizes_.kv_written_from);
    return std::max(0.0, end - std::max(begin, from)) *
           static_cast<double>(sizes_.kv_written_bytes_per_token);
  }

  SweepTime sweep(const SweepRows& of) const {
    SweepTime time;
    double disk = static_cast<double>(sizes_.body_stream_bytes);
    double memory = static_cast<double>(sizes_.body_bytes);
    double flops = of.rows * (work.layers - work.experts);
    const ExpertUse& experts = sizes_.experts;
    disk += experts.read_bytes(of.rows, of.first);
    memory += experts.met_bytes(of.rows);
    if (of.logits > 0) {
      disk += static_cast<double>(sizes_.head_stream_bytes);
      memory += static_cast<double>(sizes_.head_bytes);
      flops += of.logits * work.head;
    }
    time.weights_disk = disk / (rates_.disk_bytes_per_second * kStreamShare);
    if (of.kv_disk > 0) {
      const double rate = sizes_.kv_disk_bytes_per_second > 0 ? sizes_.kv_disk_bytes_per_second
                                                              : rates_.disk_bytes_per_second;
      time.kv_disk = of.kv_disk / (rate * kStreamShare);
    }
    time.compute = flops / (rates_.matmul_flops(of.rows) * kModelShare);
    if (work.experts > 0) {
      time.compute += of.rows * work.experts /
                      (rates_.matmul_flops(experts.rows_of_one(of.rows)) * kModelShare);
    }
    time.compute += of.seen * work.attention / rates_.attention_flops;
    memory += of.walked * static_cast<double>(sizes_.kv_bytes_per_token);
    time.memory = memory / (rates_.memory_bytes_per_second * kModelShare);
    return time;
  }

  // Calls `visit(what a sweep computes, of that the bytes of keys and values that are read, how
  // many such sweeps)` for the sweeps of one prompt of each sequence.
  template <typename Visit>
  void prefill(Visit visit) const {
    for_each_sweep(rows, std::min(rows, chunk_rows), [&](double now, double done, double times) {
      const double seen = (done + now / 2) / sequences;
      const double logits = workload_.all_logits ? now : done + now == rows ? sequences : 0;
      const double read = kv_read(done);
      const double written = kv_written(done, done + now);
      visit(SweepRows{now, now * seen, std::min(now, sequences) * seen, logits, read + written,
                      done == 0},
            read, times);
    });
  }

  // Of all sequences together, where half of the new tokens are there.
  double decode_stored() const {
    return (static_cast<double>(prompt_tokens) + new_tokens / 2) * sequences;
  }
  SweepTime decode() const {
    const double stored = decode_stored();
    return sweep({sequences, stored, stored, sequences,
                  kv_read(stored) + kv_written(stored, stored + sequences)});
  }

  // What one more request takes while every line is busy, as the scheduler shares rows out: each
  // line that decodes has one row in each sweep, one prompt at a time has the rest.
  struct Request {
    double seconds = 0;
    std::array<double, 4> by = {};  // seconds, by what binds their sweeps
    void add(const SweepTime& time, double times) {
      seconds += time.seconds() * times;
      by[static_cast<std::size_t>(time.bound_by())] += time.seconds() * times;
    }
  };
  Request request() const {
    const double decoded = std::max(0.0, new_tokens - 1);  // the first comes out of the prompt
    const double beside = std::min(sequences, chunk_rows) - 1;
    const double chunk = std::min(prompt_rows, chunk_rows - beside);
    const double of_prompt = std::ceil(prompt_rows / chunk);
    // Lines bound it, each taken for as long as its request has rows, or the rows of sweeps do.
    const double sweeps =
        std::max((of_prompt + decoded) / sequences, (prompt_rows + decoded) / chunk_rows);
    Request out;
    if (sweeps < of_prompt) {
      out.add(sweep(beside_decoding(prompt_rows / sweeps, prompt_rows / 2, decoded / sweeps, 1)),
              sweeps);
      return out;
    }
    for_each_sweep(prompt_rows, chunk, [&](double now, double done, double times) {
      const double logits = done + now == prompt_rows ? 1 : 0;
      out.add(sweep(beside_decoding(now, done + now / 2, beside, logits)), times);
    });
    if (sweeps > of_prompt) out.add(decode(), sweeps - of_prompt);
    return out;
  }

  Arithmetic work;
  double sequences = 1, new_tokens = 0;
  double prompt_rows = 1;         // of one sequence
  double rows = 1;                // of the prompts of all
  double chunk_rows = 1;          // of a sweep
  std::size_t prompt_tokens = 0;  // of one sequence

 private:
  // Rows of a prompt that see `seen` tokens each beside lines that decode; every line is there.
  SweepRows beside_decoding(double now, double seen, double decoding, double logits) const {
    const double decoding_seen = decoding * (prompt_rows + new_tokens / 2);
    // As many prompts are under way as lines do not decode, where not all rows are one prompt's.
    const double prompts = std::min(now, std::max(1.0, sequences - decoding));
    const double stored = decoding_seen + prompts * seen;
    const double written = kv_written(0, stored) * (now + decoding) / std::max(1.0, stored);
    return {now + decoding, now * seen + decoding_seen, stored,
            decoding + (workload_.all_logits ? now : logits), kv_read(stored) + written};
  }

  const SweepSizes& sizes_;
  const machine::Rates& rates_;
  const Workload& workload_;
};

}  // namespace

std::string_view to_string(Binding binding) {
  switch (binding) {
    case Binding::memory:
      return "memory";
    case Binding::compute:
      return "compute";
    case Binding::disk:
      return "disk";
    case Binding::kv_disk:
      return "kv-disk";
  }
  return "";
}

Estimate estimate(const models::Composition& composition, const SweepSizes& sizes,
                  const machine::Rates& rates, const Workload& workload) {
  const Sweeps sweeps(composition, sizes, rates, workload);
  Estimate out;
  out.prompt_tokens = sweeps.prompt_tokens;
  sweeps.prefill([&](const SweepRows& rows, double, double times) {
    out.time_to_first_token_s += sweeps.sweep(rows).seconds() * times;
  });
  out.prefill_tokens_per_second = sweeps.rows / out.time_to_first_token_s;

  const SweepTime decode = sweeps.decode();
  out.seconds_per_sweep = decode.seconds();
  out.bound_by = decode.bound_by() == Binding::kv_disk ? to_string(Binding::disk)
                                                       : to_string(decode.bound_by());
  out.decode_tokens_per_second = sweeps.sequences / out.seconds_per_sweep;
  out.bytes_per_sweep = sizes.body_stream_bytes + sizes.head_stream_bytes +
                        whole_bytes(sizes.experts.read_bytes(sweeps.sequences)) +
                        whole_bytes(sweeps.kv_read(sweeps.decode_stored()));
  out.memory_bytes_per_sweep =
      sizes.body_bytes + sizes.head_bytes + whole_bytes(sizes.experts.met_bytes(sweeps.sequences)) +
      whole_bytes(sweeps.decode_stored() * static_cast<double>(sizes.kv_bytes_per_token));

  out.flops_per_token = sweeps.work.layers;
  // The rate depends on the rows, the rows on the rate: once more with what came out is near
  // enough.
  const SweepTime one = sweeps.sweep({.rows = 1});
  double fill = 1;
  for (int i = 0; i < 2; ++i) {
    fill = std::ceil(std::max(one.disk(), one.memory) * rates.matmul_flops(fill == 1 ? 512 : fill) /
                     std::max(1.0, sweeps.work.layers));
  }
  // Of a mixture a further row reads further experts: none is free that makes a sweep longer.
  if (sweeps.work.experts > 0) {
    double free_rows = 1;
    while (free_rows < fill &&
           sweeps.sweep({.rows = free_rows + 1}).seconds() <= kAsLong * one.seconds())
      ++free_rows;
    fill = free_rows;
  }
  out.rows_that_fill = static_cast<std::size_t>(std::max(1.0, fill));

  out.load_s =
      kStartSeconds + (static_cast<double>(sizes.pinned_bytes) + sizes.experts.loaded_bytes()) /
                          rates.disk_bytes_per_second;
  // The first of the new tokens comes out of the prefill.
  const double first_requests_s =
      out.time_to_first_token_s + std::max(0.0, sweeps.new_tokens - 1) * out.seconds_per_sweep;
  const Sweeps::Request request = sweeps.request();
  out.requests = std::max(workload.requests, workload.sequences);
  const double further = static_cast<double>(out.requests) - sweeps.sequences;
  out.total_s = out.load_s + first_requests_s + further * request.seconds;
  out.job_tokens_per_second = sweeps.new_tokens * static_cast<double>(out.requests) / out.total_s;
  out.seconds_per_request = request.seconds;
  out.request_s = further > 0 ? request.seconds * sweeps.sequences : first_requests_s;
  const auto longest = std::max_element(request.by.begin(), request.by.end());
  out.job_bound_by = to_string(static_cast<Binding>(longest - request.by.begin()));
  return out;
}

KvTraffic kv_traffic(const models::Composition& composition, const SweepSizes& sizes,
                     const machine::Rates& rates, const Workload& workload) {
  const Sweeps sweeps(composition, sizes, rates, workload);
  double read = 0, wait_s = 0;
  sweeps.prefill([&](const SweepRows& rows, double reads, double times) {
    SweepRows without = rows;
    without.kv_disk -= reads;
    read += reads * times;
    wait_s += (sweeps.sweep(rows).seconds() - sweeps.sweep(without).seconds()) * times;
  });
  KvTraffic out;
  out.prefill_read_bytes = whole_bytes(read);
  out.read_bytes_per_token = whole_bytes(sweeps.kv_read(sweeps.decode_stored()) / sweeps.sequences);
  // The last of the new tokens is never run.
  const double tokens = sweeps.rows + std::max(0.0, sweeps.new_tokens - 1) * sweeps.sequences;
  const double requests = std::max(1.0, static_cast<double>(workload.requests) / sweeps.sequences);
  out.written_bytes = whole_bytes(sweeps.kv_written(0, tokens) * requests);
  out.prefill_wait_s = wait_s;
  return out;
}

}  // namespace ollm::plan
