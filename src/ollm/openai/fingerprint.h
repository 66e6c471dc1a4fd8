// The name of what answers: equal names, equal answers. Leaves to others: the model's own
// (Plan::fingerprint).
#pragma once

#include <string>
#include <string_view>

#include "ollm/ollm.h"

namespace ollm::openai {

/// "fp_" and 16 digits of the SHA-256 of the plan's fingerprint and of all of `defaults` that
/// counts where a body leaves it out.
std::string system_fingerprint(std::string_view runtime, const GenerateOptions& defaults);

}  // namespace ollm::openai
