// Which weights a sweep touches, in the order in which it does: names, rows and shapes, no bytes.
// Written by models/ from a composition; leaves to tape.h where the bytes are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ollm::weights {

/// Index into TapeLayout::matrices and TapeLayout::vectors.
struct MatrixId {
  std::uint32_t index = 0;
};
struct VectorId {
  std::uint32_t index = 0;
};

/// Rows [first_row, first_row + rows) of a stored tensor [*, cols]. Fused projections are several
/// uses of one tensor.
struct MatrixUse {
  std::string tensor;
  std::size_t first_row = 0;
  std::size_t rows = 0;
  std::size_t cols = 0;
  std::size_t tensor_rows = 0;  // of the whole tensor, to be checked against the file

  friend bool operator==(const MatrixUse&, const MatrixUse&) = default;
};

/// Elements [first, first + size) of a stored tensor [tensor_size]; always held in memory, as f32.
struct VectorUse {
  std::string tensor;
  std::size_t first = 0;
  std::size_t size = 0;
  std::size_t tensor_size = 0;
  /// Of weights of RMS norms alone: added to each element after it was widened. 1 where the norm
  /// multiplies by 1 + w; else 0, which makes a weight of -0 one of +0.
  std::optional<float> add = std::nullopt;
};

/// The order of a sweep.
struct TapeLayout {
  /// The first, the embedding, is read by rows; each other is used once a sweep, in this order, and
  /// the last, the head, only by sweeps that want logits.
  std::vector<MatrixUse> matrices;
  std::vector<VectorUse> vectors;
};

}  // namespace ollm::weights
