// Whether the head that is stored beside a tied model's embedding holds the same numbers.
// Leaves to others: which of them is then taken (plan/).
#pragma once

#include <cstdint>
#include <optional>

#include "ollm/base/result.h"
#include "ollm/checkpoint/model_folder.h"

namespace ollm::models {

/// The first row in which two stored matrices of one shape differ as numbers, whichever weight
/// types they stand in; nothing where all rows that were compared are the same. Compared
/// are all rows of matrices of up to kComparedWholeBytes, and of larger ones kComparedRows that are
/// spread over them, so that no plan waits for gigabytes.
/// Errors: io, corrupt where a file cannot be read.
Result<std::optional<std::uint64_t>> first_different_row(const checkpoint::ModelFolder& folder,
                                                         const checkpoint::TensorInfo& a,
                                                         const checkpoint::TensorInfo& b);

/// Whether first_different_row compares all rows of these.
bool compared_whole(const checkpoint::TensorInfo& a, const checkpoint::TensorInfo& b);

inline constexpr std::uint64_t kComparedRows = 256;
inline constexpr std::uint64_t kComparedWholeBytes = std::uint64_t{1} << 30;

/// That all rows are the same, read in pieces. Errors: corrupt where not; io.
Result<void> check_same_values(const checkpoint::ModelFolder& folder,
                               const checkpoint::TensorInfo& a, const checkpoint::TensorInfo& b);

}  // namespace ollm::models
