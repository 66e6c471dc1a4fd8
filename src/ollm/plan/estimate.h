// How long a run takes, from sizes and rates: arithmetic only. Leaves to others: where the rates
// come from (machine/profile.h) and what is chosen by it (choose.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "ollm/machine/profile.h"
#include "ollm/models/composition.h"
#include "ollm/plan/expert_estimate.h"
#include "ollm/plan/plans.h"

namespace ollm::plan {

/// The sizes that an estimate depends on.
struct SweepSizes {
  std::uint64_t pinned_bytes = 0;       // read once
  std::uint64_t body_bytes = 0;         // of weights, all layers
  std::uint64_t head_bytes = 0;         // of the head
  std::uint64_t body_stream_bytes = 0;  // of them from disk in each sweep
  std::uint64_t head_stream_bytes = 0;
  ExpertUse experts = {};                // beside those
  std::uint64_t kv_bytes_per_token = 0;  // of one token of one sequence, all layers
  std::vector<KvGroup> kv_groups = {};   // the same, by what may still be read
  /// Tokens of all sequences together whose keys and values stay in memory: those beyond are read
  /// from disk by every sweep. Nothing: all stay.
  std::optional<std::uint64_t> kv_resident_tokens = {};
  /// Tokens of all sequences together from which on keys and values are written, and bytes of each.
  /// Nothing: none are.
  std::optional<std::uint64_t> kv_written_from = {};
  std::uint64_t kv_written_bytes_per_token = 0;
  double kv_disk_share = 1;             // bytes on disk of one in memory, of what is read
  double kv_disk_bytes_per_second = 0;  // of the disk that they stand on
  std::size_t chunk_rows = 1;           // of a prefill sweep, over all sequences
  std::size_t logit_rows = 0;           // all rows (score), or those of the last sweep
};

/// What a sweep waits for: weights or keys and values from memory, arithmetic, weights from disk,
/// or keys and values from disk.
enum class Binding { memory, compute, disk, kv_disk };
/// "memory", "compute", "disk", "kv-disk".
std::string_view to_string(Binding binding);

/// A sweep takes as long as the slowest of disk, memory and arithmetic, as they overlap. A prompt
/// of unknown length (0) is one that fills the context but for the new tokens.
///
/// The first requests, one for each line, are counted as if all prompts were computed before the
/// first token is decoded. Each further one takes a line that became free and is counted as the
/// scheduler runs it (engine/scheduler.h) while all lines are busy: every other line decodes one
/// token in each sweep of its prompt, and what is then left to decode is shared by all lines.
Estimate estimate(const models::Composition& composition, const SweepSizes& sizes,
                  const machine::Rates& rates, const Workload& workload);

/// What of keys and values goes to disk and comes back, by the same sweeps.
struct KvTraffic {
  std::uint64_t prefill_read_bytes = 0;    // by all sweeps of the prompt
  std::uint64_t read_bytes_per_token = 0;  // for one new token, at half of the new ones
  std::uint64_t written_bytes = 0;         // for the job
  /// Of the prefill, what sweeps wait for these reads beyond what they would take without.
  double prefill_wait_s = 0;

  friend bool operator==(const KvTraffic&, const KvTraffic&) = default;
};
KvTraffic kv_traffic(const models::Composition& composition, const SweepSizes& sizes,
                     const machine::Rates& rates, const Workload& workload);

}  // namespace ollm::plan
