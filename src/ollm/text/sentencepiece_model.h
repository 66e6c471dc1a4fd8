// SentencePiece's tokenizer.model: the parts of a tokenizer from a file that has only pieces.
// Leaves tokenizer_config.json, and which classes number pieces anew, to tokenizer_config.h.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "ollm/base/result.h"
#include "ollm/text/tokenizer_json.h"

namespace ollm::text {

/// What tokenizer_config.json says about a SentencePiece model.
struct SentencePieceOptions {
  std::optional<bool> add_prefix_space;  // in place of the model's own add_dummy_prefix
  bool legacy = true;  // a space in front of the text behind every added token, not the first alone
};

struct SentencePieceParts {
  TokenizerParts parts;  // its post-processor is empty
  bool is_bpe = false;
  std::string bos_piece;
  std::string eos_piece;
};

/// The largest file that is read, which bounds the memory that reading takes below 1 GiB; the
/// largest published ones have 5 MB.
inline constexpr std::size_t kMaxSentencePieceBytes = 16 * 1024 * 1024;

/// Reads a BPE or Unigram model as Transformers converts it: merges are all pairs of pieces that
/// join to a third, best score first; control pieces and the unknown piece are control tokens,
/// user-defined symbols added tokens, both not normalized.
///
/// Errors: corrupt where the bytes are no such model, or pieces contradict each other (two alike,
/// none or two unknown, byte pieces missing); unsupported for a tiktoken file, other kinds of model
/// and what no published model has (spaces as suffixes, spaces kept, denormalization, unused pieces
/// in BPE), and beyond limits.
Result<SentencePieceParts> read_sentencepiece_model(std::string_view bytes,
                                                    const SentencePieceOptions& options);

}  // namespace ollm::text
