// The rows of one sweep: which tokens of which sequences stand where.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ollm/kv/store.h"

namespace ollm::models {

/// Consecutive tokens of one sequence inside a sweep: rows [first_row, first_row + rows), whose
/// positions go on from kv->tokens().
struct RowSpan {
  kv::Sequence* kv = nullptr;
  std::size_t first_row = 0;
  std::size_t rows = 0;
};

}  // namespace ollm::models
