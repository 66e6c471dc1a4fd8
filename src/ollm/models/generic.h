// A model recognised by structure, not by name: which of our blocks its config and tensors make.
// Leaves to others: when it is taken (plan/), families (families.h) and the blocks themselves.
#pragma once

#include "ollm/base/result.h"
#include "ollm/models/families.h"
#include "ollm/models/tensor_names.h"

namespace ollm::models {

/// Of a model type that no family reads: the config by the keys that most types share, the blocks
/// by the tensors, with nothing guessed: where config and tensors disagree (biases, heads), neither
/// is taken, and a key that is not understood is refused.
/// Errors: corrupt, unsupported with the reason.
Result<FamilyModel> compose_generic(const checkpoint::ConfigObject& config,
                                    const TensorNames& names);

/// Of a type whose family does not fit the tensors: its config, the blocks by the tensors.
/// Errors: unsupported with the reason.
Result<FamilyModel> compose_by_tensors(const ModelConfig& config, const TensorNames& names);

}  // namespace ollm::models
