// All files of a folder that define a tokenizer, taken together.
// Leaves tokenizer.json itself to tokenizer_json.h.
#pragma once

#include "ollm/base/result.h"
#include "ollm/text/tokenizer.h"
#include "ollm/text/tokenizer_json.h"

namespace ollm::text {

struct TokenizerContent {
  TokenizerParts parts;  // its added_tokens stand in `added`
  AddedTokens added;
};

/// Reads tokenizer.json, and what the other files add to it: added tokens that it lacks, and the
/// tokens of add_bos_token and add_eos_token where its post-processor does not say.
/// `add_prefix_space` is passed over, as the pre-tokenizer says that itself.
/// Errors: as Tokenizer::make.
Result<TokenizerContent> read_tokenizer_files(const TokenizerFiles& files);

}  // namespace ollm::text
