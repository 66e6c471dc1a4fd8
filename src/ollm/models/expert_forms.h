// The forms in which checkpoints store the experts of a layer: names and shapes of their tensors.
// Leaves to others: which of them a family has (models/<family>.cc) and which is there
// (tensor_binding.h).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "ollm/weights/tape_layout.h"

namespace ollm::models {

struct ExpertSizes {
  std::size_t experts = 0;
  std::size_t hidden = 0;  // of the residual stream
  std::size_t inner = 0;   // of one expert
};

/// What the matrices of one expert are called. Without a gate its name is empty.
struct ExpertNames {
  std::string_view gate, up, down;

  friend bool operator==(const ExpertNames&, const ExpertNames&) = default;
};
inline constexpr ExpertNames kGateUpDown{"gate_proj", "up_proj", "down_proj"};
/// Mixtral's: w1 is the gate, w3 the ups.
inline constexpr ExpertNames kW1W3W2{"w1", "w3", "w2"};

/// A tensor for each matrix of each expert e, name.e.gate.weight [inner, hidden], name.e.up.weight
/// [inner, hidden] and name.e.down.weight [hidden, inner]; or the same in MXFP4 as
/// compressed-tensors names it, which binding finds.
weights::ExpertsForm experts_apart(const ExpertSizes& sizes, std::string_view name,
                                   const ExpertNames& names);

/// Two tensors in which all experts are stacked: `gate_up` [experts, 2 * inner, hidden] and `down`
/// [experts, hidden, inner], or transposed where the layout is in_by_out.
weights::ExpertsForm experts_stacked(const ExpertSizes& sizes, std::string gate_up,
                                     std::string down, weights::GateUp order, WeightLayout layout);

/// The same, [experts, out, in], in MXFP4 as gpt-oss is published: name_blocks U8 [experts, out,
/// in / 32, 16] and name_scales U8 [experts, out, in / 32] of both names.
weights::ExpertsForm experts_stacked_mxfp4(const ExpertSizes& sizes, std::string_view gate_up,
                                           std::string_view down, weights::GateUp order);

}  // namespace ollm::models
