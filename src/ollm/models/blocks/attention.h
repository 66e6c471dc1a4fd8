// Softmax attention with grouped heads over the blocks of lines of keys and values.
#pragma once

#include <cstddef>
#include <span>

#include "ollm/models/blocks/activations.h"
#include "ollm/models/blocks/linear.h"
#include "ollm/models/blocks/rows.h"

namespace ollm::models {

/// Reads the block's input [rows, hidden] from activations.normed, appends keys and values of
/// `layer` (whose mixer `spec` is) to the lines, and leaves the block's output [rows, hidden]
/// in activations.normed. activations.cosines, sines, first_seen and end_seen hold those of the
/// sweep. Errors: those of weights::TapePass and kv::Line::next_run.
Result<void> attention(const SweepTools& tools, const Composition& composition,
                       const AttentionSpec& spec, std::size_t layer, std::span<const RowSpan> spans,
                       std::size_t rows, Activations& activations);

}  // namespace ollm::models
