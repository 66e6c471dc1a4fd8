// Whether the tensors of a folder are those of a composition: all there, right shapes, none left.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/checkpoint/tensor_index.h"
#include "ollm/models/composition.h"
#include "ollm/models/tensor_names.h"

namespace ollm::models {

/// Which tensors may stand beside those that are used.
struct UnusedTensors {
  /// Names with `*` for any run of characters: the caller vouches for them.
  std::vector<std::string> allowed = {};
  /// The same of plain names: heads that guess further tokens, which nothing here runs.
  std::vector<std::string> guessing_heads = {};
};

/// What of a folder was left alone, by stored names.
struct Inventory {
  std::vector<std::string> left_by_trainers;  // v_head.*, score.*
  std::vector<std::string> guessing_heads;    // by UnusedTensors
  std::vector<std::string> of_other_models;   // towers beside the text model
  std::vector<std::string> allowed;           // by UnusedTensors
};

/// Checks names, shapes and types, before a byte of them is read, and gives the composition the
/// names that the tensors are stored by, and its experts the form in which they are stored. Tensors
/// that Transformers itself ignores (rotary_emb.inv_freq and the like) may stand beside, and a
/// stored head of a tied model. Errors: not_found for a missing tensor; corrupt for a wrong shape;
/// unsupported for a type or format that is not built (tensor_binding.h), and for tensors that
/// nothing uses, each by name.
Result<Inventory> bind_tensors(const TensorNames& names, const UnusedTensors& unused,
                               Composition& composition);

/// bf16 where every matrix is BF16 or MXFP4, routers aside, whose products are f32 in both modes;
/// else f32: the mode a plan takes unless told otherwise. Of a bound composition.
backend::ComputeMode default_compute(const checkpoint::TensorIndex& index,
                                     const Composition& composition);

/// The stored head of a tied model, if there is one: nullptr otherwise. Of a bound composition.
const checkpoint::TensorInfo* stored_tied_head(const checkpoint::TensorIndex& index,
                                               const Composition& composition);

/// The head of a tied model becomes the stored one, which has to be there, instead of the
/// embedding.
void untie(Composition& composition);

/// Whether `name` is matched by `pattern`, in which `*` stands for any run of characters.
bool matches(std::string_view pattern, std::string_view name);

}  // namespace ollm::models
