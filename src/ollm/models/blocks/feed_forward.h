// The feed-forward block: gated (SwiGLU and its kin) or plain.
#pragma once

#include <cstddef>

#include "ollm/models/blocks/activations.h"
#include "ollm/models/blocks/linear.h"

namespace ollm::models {

/// Reads the block's input [rows, hidden] from activations.normed and leaves its output there.
/// Source: Shazeer, "GLU Variants Improve Transformer", 2020, eq. 6.
/// Errors: those of weights::TapePass.
Result<void> feed_forward(const SweepTools& tools, const DenseSpec& spec, std::size_t rows,
                          Activations& activations);

}  // namespace ollm::models
