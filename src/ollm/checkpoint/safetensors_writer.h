// The header of a safetensors file to be written. Leaves to others: its data, which follows in the
// same order (score's logits, the tests of every folder).
#pragma once

#include <span>
#include <string>

#include "ollm/base/result.h"
#include "ollm/tensor/dtype.h"
#include "ollm/tensor/shape.h"

namespace ollm::checkpoint {

struct NewTensor {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
};

/// The bytes before the data: length and JSON, with spaces so that the data starts at a multiple of
/// 8, no metadata. The data of the tensors is to follow in their order, packed, without gaps.
/// Errors: invalid_argument for a name that stands twice, is not UTF-8, is "__metadata__" or breaks
/// the limits of safetensors.h, and for sizes that overflow.
Result<std::string> make_safetensors_header(std::span<const NewTensor> tensors);

}  // namespace ollm::checkpoint
