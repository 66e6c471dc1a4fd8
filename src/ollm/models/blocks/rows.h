// The rows of one sweep: which tokens of which lines stand where, and which each of them sees.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ollm/kv/line.h"

namespace ollm::models {

/// Consecutive tokens of one line inside a sweep: rows [first_row, first_row + rows), whose
/// positions go on from line->tokens().
struct RowSpan {
  kv::Line* line = nullptr;
  std::size_t first_row = 0;
  std::size_t rows = 0;
  bool dropped = false;  // nothing of what its rows give is wanted

  /// Whether somebody wants what its rows give.
  bool runs() const { return rows > 0 && !dropped; }
};

struct Activations;

/// Fills activations.first_seen and end_seen for rows that see the tokens before them and
/// themselves, each within the window of its layer.
void lay_out_seen(std::span<const RowSpan> spans, Activations& activations);

}  // namespace ollm::models
