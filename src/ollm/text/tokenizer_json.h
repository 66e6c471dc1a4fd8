// The file tokenizer.json as a whole: its blocks, and the model with vocabulary and merges.
// Leaves the small blocks to tokenizer_blocks.h and how the parts work together to tokenizer.cc.
#pragma once

#include <string_view>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/text/added_tokens.h"
#include "ollm/text/decoder.h"
#include "ollm/text/model.h"
#include "ollm/text/normalizer.h"
#include "ollm/text/post_processor.h"
#include "ollm/text/pre_tokenizer.h"

namespace ollm::text {

/// What a tokenizer is made of. Null and empty parts do nothing.
struct TokenizerParts {
  std::vector<AddedToken> added_tokens;
  NormalizerPtr normalizer;
  PreTokenizerPtr pre_tokenizer;
  ModelPtr model;
  PostProcessor post_processor;
  bool has_decoder = false;  // without one, tokens are joined by spaces
  std::vector<DecoderStep> decoder;
};

/// The largest file that is read, which bounds the memory that reading takes to about 1 GiB.
inline constexpr std::size_t kMaxTokenizerJsonBytes = 64 * 1024 * 1024;

/// Reads a tokenizer.json. `truncation` and `padding` are passed over: Transformers sets both anew
/// for each call, and to neither where nobody asks.
///
/// Errors: corrupt for what breaks the format (syntax, duplicate keys, ids that are no ids, merges
/// of tokens that are not there), naming block and field; unsupported for types that are not built
/// and for files above the limit.
Result<TokenizerParts> read_tokenizer_json(std::string_view bytes);

}  // namespace ollm::text
