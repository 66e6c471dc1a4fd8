// For tests: the distribution of SamplingOptions as papers define it, by full sorts and std::exp.
// Leaves to others: speed, memory and same bits (sampling.cc).
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "ollm/engine/sampling_options.h"

namespace ollm::engine::testing {

/// The probability of every id; 0 for those that were filtered. `prompt` and `new_tokens` are the
/// tokens before. The temperature is above 0.
std::vector<double> textbook_distribution(const SamplingOptions& options,
                                          std::span<const float> logits,
                                          std::span<const TokenId> prompt,
                                          std::span<const TokenId> new_tokens);

}  // namespace ollm::engine::testing
