// How likely a model finds tokens: the logarithm of the softmax of its logits.
// Leaves to others: what is chosen (sampler.h), and how a request gets it (openai/).
#pragma once

#include <cstddef>
#include <span>

#include "ollm/base/token_id.h"
#include "ollm/sampling/options.h"

namespace ollm::sampling {

/// log(softmax(logits)) of `chosen`, and of the `top` likeliest tokens (fewer where the vocabulary
/// has fewer).
///
/// Of the logits as the model gave them: before logit_bias, penalties, temperature and filters, so
/// that it says what the model thinks, whatever was asked of it, as vLLM does by default
/// (logprobs_mode: raw_logprobs).
///
/// Computed in double, in a fixed order, without the C library's exp and log: equal logits give
/// equal bits on every machine, within 1e-14 + 1e-15 |x| of the truth. `logits` have passed
/// check_logits, `chosen` is one of their ids. Allocates `top` entries.
TokenLogProbs log_probs(std::span<const float> logits, TokenId chosen, std::size_t top);

/// log(x) for x from 1 to 1e300, as above.
double log_of_sum(double x);

}  // namespace ollm::sampling
