// The number of a token, and the largest one that is read.
// Leaves which numbers a model has rows for to the model.
#pragma once

#include <cstdint>

namespace ollm::text {

using TokenId = std::int32_t;

/// A tokenizer with a token id above this is refused when it is read (contracts.md): tables are
/// sized by the largest id.
inline constexpr TokenId kMaxTokenId = 1 << 24;

}  // namespace ollm::text
