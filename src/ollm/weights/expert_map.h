// Where every expert of a model is: its extents in the files, and how they lie in a slot. Pure
// arithmetic on the tensor index, the same for the plan and for the loader. Leaves to others:
// reading and keeping them (experts.h) and how many have room (plan/).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/checkpoint/tensor_index.h"
#include "ollm/io/slot_ring.h"
#include "ollm/weights/loads.h"
#include "ollm/weights/tape_layout.h"

namespace ollm::weights {

struct Options;

struct ExpertMap {
  struct Layer {
    std::uint32_t first = 0;  // of its experts, counted over all layers
    std::uint32_t experts = 0;
    std::uint32_t first_place = 0;  // of its first expert's first matrix
    std::uint32_t matrices = 0;     // of each expert
  };
  std::vector<Layer> layers;        // by ExpertsId
  Loads loads;                      // one of each expert, layer by layer
  std::vector<Laid::Place> places;  // of the matrices of each expert
  std::uint64_t bytes = 0;          // of all experts' weights and scales
  std::uint64_t most_bytes = 0;     // of one expert's

  std::uint32_t count() const { return static_cast<std::uint32_t>(loads.loads.size()); }
  bool empty() const { return loads.loads.empty(); }
};

/// Errors: not_found where a tensor is missing; unsupported where its format is not built.
Result<ExpertMap> map_experts(const checkpoint::TensorIndex& index, const TapeLayout& layout,
                              std::size_t read_bytes);

/// Slots that experts pass through where not all are kept: those that are read ahead, in use, or
/// were guessed wrongly and are still on their way.
std::size_t passing_slots(const ExpertMap& map, const Options& options);

/// The fewest that a run needs, and how many it has by these options.
std::size_t least_expert_slots(const ExpertMap& map);
std::size_t expert_slots(const ExpertMap& map, const Options& options);

/// Of them, those whose experts stay from sweep to sweep.
std::size_t kept_experts(const ExpertMap& map, const Options& options);

/// Bytes of the experts' slots, with what alignment takes; and of what is held to know them by.
std::uint64_t expert_slot_bytes(const ExpertMap& map, const Options& options);
std::uint64_t expert_table_bytes(const ExpertMap& map, const Options& options);

/// The ring whose slots they are.
io::SlotRing::Options expert_ring_options(const ExpertMap& map, const Options& options);

}  // namespace ollm::weights
