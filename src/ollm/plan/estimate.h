// How long a run takes, from sizes and rates: arithmetic only. Leaves to others: where the rates
// come from (machine/profile.h) and what is chosen by it (choose.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "ollm/machine/profile.h"
#include "ollm/models/composition.h"
#include "ollm/plan/workload.h"

namespace ollm::plan {

/// What a run should take. Rates are of the whole machine; times in seconds.
struct Estimate {
  std::uint64_t bytes_per_sweep = 0;         // read from disk by one decode sweep
  std::uint64_t memory_bytes_per_sweep = 0;  // of weights and KV, read from memory by one
  double seconds_per_sweep = 0;              // one decode sweep
  std::string bound_by;                      // "memory", "compute" or "disk", of decoding
  double prefill_tokens_per_second = 0;
  double decode_tokens_per_second = 0;
  std::size_t prompt_tokens = 0;     // of the prompt that the times are for
  double time_to_first_token_s = 0;  // from when the model is loaded, to the end of that prompt
  double load_s = 0;
  double total_s = 0;              // from when the process starts
  double flops_per_token = 0;      // of matrix products of all layers, the head left out
  std::size_t rows_that_fill = 0;  // rows of a sweep from which compute, not reading, binds it
};

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
