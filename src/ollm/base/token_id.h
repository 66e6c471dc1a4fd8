// The number of a token, which text, engine and front door speak of without knowing each other.
// Leaves which numbers a model has rows for to the model, which a tokenizer gives to text/.
#pragma once

#include <cstdint>

namespace ollm {

using TokenId = std::int32_t;  // a row of the embedding: from 0

/// A tokenizer with a token id above this is refused when it is read, as tables are sized by the
/// largest id.
inline constexpr TokenId kMaxTokenId = 1 << 24;

}  // namespace ollm
