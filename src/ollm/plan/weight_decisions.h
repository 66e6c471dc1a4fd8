// What is told of the weights: why a chunk has so many rows, what stays in memory, how the rest is
// read. Leaves to others: what is chosen (choose.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ollm/machine/machine.h"
#include "ollm/plan/load_plan.h"
#include "ollm/plan/plans.h"
#include "ollm/weights/tape_map.h"

namespace ollm::plan {

/// Logits of one sweep when all of them are wanted; beyond, the chunk shrinks.
inline constexpr std::uint64_t kMostLogitsBytes = std::uint64_t{64} << 20;

/// Above this share of the budget the feed-forward's intermediate is computed in pieces of rows.
inline constexpr std::uint64_t kFeedForwardShare = 16;

/// What a plan does not hold of why it is as it is.
struct WeightReasons {
  const machine::Machine& machine;
  bool direct = false;           // the weights' file system has direct access
  std::size_t rows_at_most = 0;  // that a sweep could have
  bool chunk_was_asked_for = false;
};

std::vector<Decision> weight_decisions(const LoadPlan& plan, const weights::TapeMap& map,
                                       const WeightReasons& reasons);

}  // namespace ollm::plan
