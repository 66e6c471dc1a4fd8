// A model recognised by structure, not by name: which of our blocks its config and tensors make.
// Leaves to others: when the generic backend is chosen (plan/) and the blocks themselves.
#pragma once

#include "ollm/base/result.h"
#include "ollm/checkpoint/tensor_index.h"
#include "ollm/models/blueprint.h"
#include "ollm/models/composition.h"
#include "ollm/models/model_config.h"

namespace ollm::models {

struct GenericModel {
  Blueprint blueprint;
  Composition composition;
  /// The model type is not one whose arithmetic is known to be this: the plan says so
  /// (Decision `semantics: assumed`).
  bool assumed = false;
};

/// Finds the blueprint whose composition consumes every tensor, with nothing guessed: a model type
/// known to compute something else under the same tensors is refused by name, and where config and
/// tensors disagree (biases, tied heads) neither is taken.
/// Errors: unsupported with the reason; not_found and corrupt from check_inventory.
Result<GenericModel> compose_generic(const ModelConfig& config,
                                     const checkpoint::TensorIndex& index);

}  // namespace ollm::models
