// Whether logits are numbers that an answer can be made of.
#pragma once

#include <cstddef>
#include <span>

#include "ollm/base/result.h"

namespace ollm::sampling {

/// That no logit is NaN or +infinity, and not all are -infinity, which alone is a logit like
/// others: probability 0. Errors: corrupt, naming the position, the id and its value: weights are
/// damaged, or the model overflows in its compute mode.
Result<void> check_logits(std::span<const float> logits, std::size_t position);

}  // namespace ollm::sampling
