#include "ollm/models/stored_head.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <vector>

#include "ollm/backend/reference/elements.h"
#include "ollm/base/check.h"

namespace ollm::models {
namespace {

using checkpoint::ModelFolder;
using checkpoint::TensorInfo;

constexpr std::uint64_t kPieceElements = std::uint64_t{1} << 18;  // read at once

// Whether two runs of elements are the same numbers, whichever types they stand in; every weight
// type widens to f32 exactly, and a NaN equals a NaN.
bool same_values(const std::byte* a, DType a_type, const std::byte* b, DType b_type,
                 std::size_t count) {
  if (a_type == b_type && std::memcmp(a, b, count * size_bytes(a_type)) == 0) return true;
  for (std::size_t i = 0; i < count; ++i) {
    const float left = backend::weight_at(a, a_type, i);
    const float right = backend::weight_at(b, b_type, i);
    if (left != right && !(std::isnan(left) && std::isnan(right))) return false;
  }
  return true;
}

// Two matrices of one shape, compared over runs of elements.
class Comparison {
 public:
  Comparison(const ModelFolder& folder, const TensorInfo& a, const TensorInfo& b)
      : folder_(folder), sides_{&a, &b} {
    OLLM_CHECK(a.shape == b.shape && a.shape.rank() == 2);
  }

  Result<bool> same(std::uint64_t first, std::uint64_t count) {
    for (std::size_t i = 0; i < 2; ++i) {
      const std::uint64_t element = size_bytes(sides_[i]->dtype);
      const std::uint64_t offset = sides_[i]->offset_bytes + first * element;
      pieces_[i].resize(count * element);
      const io::File& file = folder_.file(sides_[i]->file);
      Result<void> read = file.read_at(offset, pieces_[i]);
      if (!read.ok())
        return std::move(read).error().within(fmt::format("tensor {}", sides_[i]->name));
      file.drop_cached(offset, pieces_[i].size());
    }
    return same_values(pieces_[0].data(), sides_[0]->dtype, pieces_[1].data(), sides_[1]->dtype,
                       count);
  }

 private:
  const ModelFolder& folder_;
  std::array<const TensorInfo*, 2> sides_;
  std::array<std::vector<std::byte>, 2> pieces_;
};

}  // namespace

bool compared_whole(const TensorInfo& a, const TensorInfo& b) {
  return std::max(a.size_bytes, b.size_bytes) <= kComparedWholeBytes;
}

Result<std::optional<std::uint64_t>> first_different_row(const ModelFolder& folder,
                                                         const TensorInfo& a, const TensorInfo& b) {
  Comparison comparison(folder, a, b);
  const std::uint64_t rows = a.shape[0];
  const std::uint64_t cols = a.shape[1];
  if (rows == 0 || cols == 0) return std::optional<std::uint64_t>();
  const bool whole = compared_whole(a, b);
  const std::uint64_t step = whole ? std::max<std::uint64_t>(1, kPieceElements / cols) : 1;
  const std::uint64_t steps = whole ? (rows + step - 1) / step : std::min(rows, kComparedRows);
  for (std::uint64_t i = 0; i < steps; ++i) {
    // The last row too: tokens that were added later stand there.
    const std::uint64_t first = whole ? i * step : steps == 1 ? 0 : i * (rows - 1) / (steps - 1);
    const std::uint64_t count = std::min(step, rows - first);
    OLLM_TRY(const bool all_same, comparison.same(first * cols, count * cols));
    if (all_same) continue;
    for (std::uint64_t row = first; row < first + count; ++row) {
      OLLM_TRY(const bool same, comparison.same(row * cols, cols));
      if (!same) return std::optional(row);
    }
  }
  return std::optional<std::uint64_t>();
}

Result<void> check_same_values(const ModelFolder& folder, const TensorInfo& a,
                               const TensorInfo& b) {
  Comparison comparison(folder, a, b);
  const std::uint64_t elements = a.shape.element_count();
  for (std::uint64_t done = 0; done < elements; done += kPieceElements) {
    OLLM_TRY(const bool same, comparison.same(done, std::min(kPieceElements, elements - done)));
    if (same) continue;
    return fail(ErrorKind::corrupt,
                fmt::format("tensor {} ({}) differs from {} ({}), though config.json ties them: "
                            "which one counts is not known; with tie_word_embeddings false the "
                            "stored head runs",
                            a.name, to_string(a.dtype), b.name, to_string(b.dtype)));
  }
  return {};
}

}  // namespace ollm::models
