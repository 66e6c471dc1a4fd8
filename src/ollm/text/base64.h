// Base64, as tokenizer.json carries SentencePiece's character map.
// Leaves what the bytes are to who asked.
#pragma once

#include <string>
#include <string_view>

#include "ollm/base/result.h"

namespace ollm::text {

/// The bytes of standard base64 with padding. Errors: corrupt.
Result<std::string> decode_base64(std::string_view text);

}  // namespace ollm::text
