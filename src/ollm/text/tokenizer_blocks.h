// The small blocks of a tokenizer.json: normalizer, pre_tokenizer, post_processor, decoder,
// added_tokens. Leaves the model, and the file as a whole, to tokenizer_json.h.
#pragma once

#include <vector>

#include "ollm/base/result.h"
#include "ollm/text/added_tokens.h"
#include "ollm/text/decoder.h"
#include "ollm/text/json_fields.h"
#include "ollm/text/normalizer.h"
#include "ollm/text/post_processor.h"
#include "ollm/text/pre_tokenizer.h"

namespace ollm::text {

// Each takes the value of the block, which may be null, and gives null or nothing for that. Fields
// that a type does not know are passed over, as the Hugging Face library does.
// Errors: corrupt, naming block and field; unsupported for a type that is not built.

Result<NormalizerPtr> read_normalizer(const Json& block);
Result<PreTokenizerPtr> read_pre_tokenizer(const Json& block);
Result<PostProcessor> read_post_processor(const Json& block);
Result<std::vector<DecoderStep>> read_decoder(const Json& block);
Result<std::vector<AddedToken>> read_added_tokens(const Json& block);

/// One entry of added_tokens or of added_tokens_decoder; its id is given from outside.
Result<AddedToken> read_added_token(const Fields& fields, std::int64_t id);

/// A pattern as Split and Replace have it: {"String": ...} or {"Regex": ...}.
Result<Pattern> read_pattern(const Fields& fields);

/// The single character of a field. Errors: corrupt where it is none or more.
Result<std::string> read_character(const Fields& fields, std::string_view name);

Error not_built(const Fields& fields, std::string_view type);

}  // namespace ollm::text
