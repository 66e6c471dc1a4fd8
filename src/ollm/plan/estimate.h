// How long a run takes, from sizes and rates: arithmetic only. Leaves to others: where the rates
// come from (machine/profile.h) and what is chosen by it (choose.h).
#pragma once

#include <cstddef>
#include <cstdint>

#include "ollm/machine/profile.h"
#include "ollm/models/composition.h"
#include "ollm/plan/plans.h"

namespace ollm::plan {

/// The sizes that an estimate depends on.
struct SweepSizes {
  std::uint64_t pinned_bytes = 0;       // read once
  std::uint64_t body_bytes = 0;         // of weights, all layers
  std::uint64_t head_bytes = 0;         // of the head
  std::uint64_t body_stream_bytes = 0;  // of them from disk in each sweep
  std::uint64_t head_stream_bytes = 0;
  std::uint64_t kv_bytes_per_token = 0;  // of one token of one sequence, all layers
  std::size_t chunk_rows = 1;            // of a prefill sweep, over all sequences
  std::size_t logit_rows = 0;            // all rows (score), or those of the last sweep
};

/// A sweep takes as long as the slowest of disk, memory and arithmetic, as they overlap. A prompt
/// of unknown length (0) is one that fills the context but for the new tokens.
Estimate estimate(const models::Composition& composition, const SweepSizes& sizes,
                  const machine::Rates& rates, const Workload& workload);

}  // namespace ollm::plan
