// A mixture of experts: each row meets those that its router chooses, read as they are wanted.
#pragma once

#include "ollm/models/blocks/activations.h"
#include "ollm/models/blocks/linear.h"
#include "ollm/models/composition.h"

namespace ollm::models {

/// normed = mixture(normed) for `rows` rows. Of each row the experts are added in ascending order,
/// then the shared one, whatever rows stand beside it and whichever experts are in memory.
/// Errors: those of weights::TapePass and weights::Experts.
Result<void> mixture(const SweepTools& tools, const MixtureSpec& spec, std::size_t rows,
                     Activations& activations);

/// Guesses which experts the layer after this one will choose, from what stands in `hidden` before
/// this layer's feed-forward: that layer's norm and router on it. Only of few rows, and where not
/// all experts are in memory; changes no result.
void guess_experts(const SweepTools& tools, const LayerSpec& following, std::size_t rows,
                   Activations& activations);

}  // namespace ollm::models
