// How many experts sweeps meet, and how many of them are read: expectations. Leaves to others: how
// long that takes (estimate.h) and how many have room (choose.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ollm/models/composition.h"
#include "ollm/plan/plans.h"
#include "ollm/weights/expert_map.h"
#include "ollm/weights/tape_map.h"

namespace ollm::plan {

/// The experts of a model as a sweep meets them. All layers count as alike: those of published
/// mixtures are.
struct ExpertUse {
  std::size_t layers = 0;   // that have experts
  double experts = 0;       // of one layer
  double chosen = 0;        // by one row of one layer
  double expert_bytes = 0;  // of one
  double kept_share = 1;    // of all, those that stay in memory
  double hit_share = 1;     // of those that a row meets

  /// Bytes of experts that a sweep of so many rows meets, and of them those that it reads. Rows
  /// that choose alike hit what is kept by it; a chunk that meets nearly all hits the share that is
  /// kept. The first sweep of a run finds none in memory unless all are.
  double met_bytes(double rows) const { return met(rows) * expert_bytes; }
  double read_bytes(double rows, bool first = false) const;

  /// Of those that are read at load: all, or none.
  double loaded_bytes() const {
    return kept_share < 1 ? 0 : static_cast<double>(layers) * experts * expert_bytes;
  }

  /// Experts of all layers that so many rows meet, each row choosing by itself and all experts
  /// alike: of one layer E (1 - (1 - k / E)^rows).
  double met(double rows) const;
  /// Rows of a sweep of so many that one of the experts that it meets has.
  double rows_of_one(double rows) const;
};
/// With so many of them kept as these options say: of what a row meets that is their share, or what
/// those that were `wanted` most had of all that was, where that is known (of each expert, layer by
/// layer; else empty).
ExpertUse expert_use(const models::Composition& composition, const weights::ExpertMap& map,
                     const weights::Options& options, std::span<const float> wanted);

/// What is told of them.
ExpertsPlan experts_plan(const ExpertUse& use, const weights::ExpertMap& map,
                         const weights::Options& options, std::span<const float> wanted);

/// What experts take of memory by these options.
std::uint64_t expert_space(const weights::ExpertMap& map, const weights::Options& options);

/// Slots that experts have before anything is pinned: all that a sweep reads goes through them.
std::size_t first_expert_slots(const weights::ExpertMap& map, std::uint64_t budget_bytes);

/// Gives what is left of the memory to experts that stay. Last of all: every token meets the dense
/// weights, few of them one expert.
void give_room(const weights::ExpertMap& map, std::uint64_t bytes, weights::Options& options);

}  // namespace ollm::plan
