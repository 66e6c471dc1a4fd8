// The report of a run: what the plan estimated, measured.
#include <nlohmann/json.hpp>

#include "ollm/base/value_document.h"
#include "ollm/runtime/process.h"
#include "ollm/runtime/state.h"

namespace ollm {

Value Report::as_dict() const {
  return make_value({{"bytes_per_sweep", bytes_per_sweep},
                     {"seconds_per_sweep", seconds_per_sweep},
                     {"bound_by", bound_by},
                     {"prefill_tokens_per_second", prefill_tokens_per_second},
                     {"decode_tokens_per_second", decode_tokens_per_second},
                     {"time_to_first_token_s", time_to_first_token_s},
                     {"total_s", total_s},
                     {"peak_bytes", peak_bytes},
                     {"planned_peak_bytes", planned_peak_bytes},
                     {"bytes_read", bytes_read},
                     {"prompt_tokens", prompt_tokens},
                     {"cached_tokens", cached_tokens},
                     {"new_tokens", new_tokens},
                     {"load_s", load_s},
                     {"streamed_bytes", streamed_bytes},
                     {"io_wait_s", io_wait_s},
                     {"io_cpu_s", io_cpu_s},
                     {"kv_bytes_read", kv_bytes_read},
                     {"kv_bytes_written", kv_bytes_written},
                     {"kv_corrupt_blocks", kv_corrupt_blocks},
                     {"draft_tokens", draft_tokens},
                     {"draft_accepted", draft_accepted},
                     {"experts_wanted", experts_wanted},
                     {"experts_kept", experts_kept},
                     {"experts_guessed", experts_guessed},
                     {"wrong_guess_bytes", wrong_guess_bytes}});
}

namespace runtime {
namespace {

double rate(std::size_t count, double seconds) {
  return seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

}  // namespace

void DiskCost::add(const DiskCost& other, double share) {
  const auto part = [&](std::uint64_t whole) {
    return static_cast<std::uint64_t>(share * static_cast<double>(whole));
  };
  weights.bytes_read += part(other.weights.bytes_read);
  weights.wait_s += share * other.weights.wait_s;
  weights.cpu_s += share * other.weights.cpu_s;
  kv.bytes_read += part(other.kv.bytes_read);
  kv.bytes_written += part(other.kv.bytes_written);
  kv.corrupt_blocks += part(other.kv.corrupt_blocks);
  kv.wait_s += share * other.kv.wait_s;
  weights.experts.for_each(other.weights.experts,
                           [&](std::uint64_t& mine, std::uint64_t whole) { mine += part(whole); });
}

void DiskCost::subtract(const DiskCost& earlier) {
  weights.bytes_read -= earlier.weights.bytes_read;
  weights.wait_s -= earlier.weights.wait_s;
  weights.cpu_s -= earlier.weights.cpu_s;
  kv.bytes_read -= earlier.kv.bytes_read;
  kv.bytes_written -= earlier.kv.bytes_written;
  kv.corrupt_blocks -= earlier.kv.corrupt_blocks;
  kv.wait_s -= earlier.kv.wait_s;
  weights.experts.for_each(earlier.weights.experts,
                           [](std::uint64_t& mine, std::uint64_t then) { mine -= then; });
}

DiskCost disk_cost(const Runtime::State& state) {
  return {state.tape->stream_cost(), state.kv->counters()};
}

DiskCost take_cost(Runtime::State& state) {
  const DiskCost now = disk_cost(state);
  DiskCost cost = now;
  cost.subtract(state.cost_told);
  state.cost_told = now;
  return cost;
}

Report make_report(const Runtime::State& state, const Timing& timing) {
  Report report;
  if (timing.decode_sweeps != 0) {
    report.seconds_per_sweep = timing.decode_s / static_cast<double>(timing.decode_sweeps);
    report.bytes_per_sweep = timing.decode_sweep_bytes / timing.decode_sweeps;
  }
  DiskCost cost = timing.prefill_cost;
  cost.add(timing.decode_cost, 1);
  // What the sweeps slept for was the disk; whether the rest was memory's or the arithmetic's, only
  // the plan's model of the machine tells.
  const double slept = cost.weights.wait_s + cost.kv.wait_s;
  const std::string& planned = state.execution().estimate.bound_by;
  if (slept > (timing.prefill_s + timing.decode_s) / 2) {
    report.bound_by = "disk";
  } else {
    report.bound_by = planned == "disk" ? "memory" : planned;
  }
  report.prefill_tokens_per_second = rate(timing.prefilled, timing.prefill_s);
  report.decode_tokens_per_second = rate(timing.decoded, timing.decode_s);
  report.time_to_first_token_s = timing.first_token_s;
  report.total_s = process_seconds();
  report.peak_bytes = peak_resident_bytes();
  report.planned_peak_bytes = state.execution().memory.peak_bytes();
  report.bytes_read = state.tape->loaded_bytes() + state.tape->stream_cost().bytes_read;
  report.io_wait_s = slept;
  report.io_cpu_s = cost.weights.cpu_s;
  report.streamed_bytes = cost.weights.bytes_read;
  report.kv_bytes_read = cost.kv.bytes_read;
  report.kv_bytes_written = cost.kv.bytes_written;
  report.kv_corrupt_blocks = cost.kv.corrupt_blocks;
  report.experts_wanted = cost.weights.experts.wanted;
  report.experts_kept = cost.weights.experts.hits;
  report.experts_guessed = cost.weights.experts.guessed;
  report.wrong_guess_bytes = cost.weights.experts.wrong_bytes;
  report.load_s = state.load_s;
  return report;
}

}  // namespace runtime
}  // namespace ollm
