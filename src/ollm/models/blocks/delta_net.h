// A gated delta net over the chunks of lines: what is kept of each, and the state behind it.
#pragma once

#include <cstddef>
#include <span>

#include "ollm/models/blocks/activations.h"
#include "ollm/models/blocks/linear.h"
#include "ollm/models/blocks/rows.h"

namespace ollm::models {

/// Reads the block's input [rows, hidden] from activations.normed, keeps in the lines what the rows
/// behind need of `layer` (whose mixer `spec` is), and leaves the block's output [rows, hidden] in
/// activations.normed. Errors: those of weights::TapePass.
Result<void> delta_net(const SweepTools& tools, const DeltaNetSpec& spec, std::size_t layer,
                       std::span<const RowSpan> spans, std::size_t rows, Activations& activations);

}  // namespace ollm::models
