#include "ollm/weights/tape_layout.h"

#include <array>

namespace ollm::weights {

Result<Shape> shape_of(const VectorUse& use) {
  if (use.taps != 0)
    return Shape::make(std::array<std::uint64_t, 3>{use.tensor_size / use.taps, 1, use.taps});
  if (use.tensor_rows == 0) return Shape::make(std::array<std::uint64_t, 1>{use.tensor_size});
  return Shape::make(
      std::array<std::uint64_t, 2>{use.tensor_rows, use.tensor_size / use.tensor_rows});
}

}  // namespace ollm::weights
