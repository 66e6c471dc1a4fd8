// For tests: the distribution of Options as papers define it, by full sorts and std::exp.
// Leaves to others: speed, memory and same bits (sampler.cc).
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "ollm/sampling/options.h"

namespace ollm::sampling::testing {

/// The probability of every id; 0 for those that were filtered. `prompt` and `new_tokens` are the
/// tokens before. The temperature is above 0.
std::vector<double> textbook_distribution(const Options& options, std::span<const float> logits,
                                          std::span<const TokenId> prompt,
                                          std::span<const TokenId> new_tokens);

}  // namespace ollm::sampling::testing
