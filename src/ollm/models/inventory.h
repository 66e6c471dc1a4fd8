// Whether the tensors of a folder are those of a composition: all there, right shapes, none left.
#pragma once

#include "ollm/base/result.h"
#include "ollm/checkpoint/tensor_index.h"
#include "ollm/models/composition.h"

namespace ollm::models {

/// Checks names, shapes and types, before a byte of them is read. Tensors that Transformers itself
/// ignores (rotary_emb.inv_freq and the like) may stand beside; a stored head of a tied model too
/// (its bytes are compared with the embedding's at load).
/// Errors: not_found for a missing tensor; corrupt for a wrong shape; unsupported for a type that
/// is not F32, F16 or BF16, and for tensors that nothing uses, each by name.
Result<void> check_inventory(const checkpoint::TensorIndex& index, const Composition& composition);

/// bf16 where every matrix is BF16, else f32: the mode a plan takes unless told otherwise.
backend::ComputeMode default_compute(const checkpoint::TensorIndex& index,
                                     const Composition& composition);

/// The stored head of a tied model, if there is one: nullptr otherwise.
const checkpoint::TensorInfo* stored_tied_head(const checkpoint::TensorIndex& index,
                                               const Composition& composition);

}  // namespace ollm::models
