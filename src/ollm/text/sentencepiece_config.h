// A SentencePiece model together with tokenizer_config.json: what Transformers' class for it does.
// Leaves the model itself to sentencepiece_model.h, and added tokens to tokenizer_config.h.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "ollm/base/result.h"
#include "ollm/text/json_fields.h"
#include "ollm/text/tokenizer_json.h"

namespace ollm::text {

inline constexpr std::string_view kHowToGetTokenizerJson =
    "in Transformers, AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER) writes a "
    "tokenizer.json";

/// What add_bos_token, add_eos_token, bos_token and eos_token are where the config lacks them.
struct AddedByDefault {
  bool bos = false;
  bool eos = false;
  std::optional<std::string> bos_token;
  std::optional<std::string> eos_token;
};

struct SentencePieceTokenizer {
  TokenizerParts parts;
  AddedByDefault by_default;
};

/// Reads a SentencePiece model as the class named in `config` (tokenizer_class) reads it: Llama and
/// its kin, which a BPE model without a class is taken for, begin with bos; T5 ends with eos and
/// has `extra_ids` more tokens.
///
/// Errors: as read_sentencepiece_model; unsupported for other classes, as many number the pieces
/// anew, saying how to get a tokenizer.json.
Result<SentencePieceTokenizer> read_sentencepiece_tokenizer(std::string_view model,
                                                            const Fields& config);

}  // namespace ollm::text
