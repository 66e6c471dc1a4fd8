// Holds the uses of a composition against the tensors of a folder: each there, of its shape and of
// a type that is built. Leaves to others: what is then left in the folder (inventory.h).
#pragma once

#include <string>
#include <unordered_set>

#include "ollm/base/result.h"
#include "ollm/checkpoint/tensor_index.h"
#include "ollm/models/tensor_names.h"
#include "ollm/tensor/shape.h"
#include "ollm/weights/tape_layout.h"

namespace ollm::models {

/// Each bind gives a use the names that its tensors are stored by, and writes down how its weights
/// are stored. Errors, naming the tensor: not_found; corrupt for another shape than expected;
/// unsupported for a type or format without products.
class TensorBinding {
 public:
  /// Borrows the names.
  explicit TensorBinding(const TensorNames& names) : names_(names) {}

  /// Where name.weight is not there, name.weight_packed U8 [rows, cols / 2] and name.weight_scale
  /// U8 [rows, cols / 32] may stand for it, as compressed-tensors names MXFP4: not for what is
  /// gathered by rows, and not for what is held.
  Result<void> bind(weights::MatrixUse& use);
  Result<void> bind(weights::VectorUse& use);
  /// Keeps the first form of which some tensors are there. All experts of a matrix have one type.
  Result<void> bind(weights::ExpertsUse& use);
  /// Plain weights of this shape.
  Result<void> bind(std::string& name, const Shape& shape);

  bool uses(const checkpoint::TensorInfo& tensor) const { return used_.contains(&tensor); }

 private:
  Result<const checkpoint::TensorInfo*> take(std::string& name, const Shape& expected);
  Result<void> take_bytes(std::string& name, const Shape& expected);
  bool packed(const std::string& name) const;
  bool in_one_tensor(std::size_t experts, const weights::ExpertMatrix& matrix,
                     std::size_t rank) const;
  bool some_there(const weights::ExpertsForm& form) const;
  Result<void> bind(std::size_t experts, weights::ExpertMatrix& matrix);
  Result<void> bind_plain(std::size_t experts, weights::ExpertMatrix& matrix);
  Result<void> bind_mxfp4(std::size_t experts, weights::ExpertMatrix& matrix);

  const TensorNames& names_;
  std::unordered_set<const checkpoint::TensorInfo*> used_;
};

/// Whether products with this tensor are built, of its type as it is stored: F32, F16 and BF16 are.
bool holds_built_weights(const checkpoint::TensorInfo& tensor);

}  // namespace ollm::models
