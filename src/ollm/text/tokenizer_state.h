// What a Tokenizer holds (tokenizer.h): the parts, and the working memory that encoding threads
// share out. Leaves encoding to encoder.cc and decoding to tokenizer.cc.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "ollm/text/added_tokens.h"
#include "ollm/text/tokenizer.h"
#include "ollm/text/tokenizer_json.h"

namespace ollm::text {

/// Working memory of one encoding thread.
struct EncodeScratch {
  RegexScratch regex;
  // Two, as each remembers words: with control tokens for text of users, without for the rest.
  std::unique_ptr<ModelScratch> closed_model;
  std::unique_ptr<ModelScratch> open_model;
  ModelScratch* model = nullptr;  // the one in use
};

class Tokenizer::State {
 public:
  State(TokenizerParts parts, AddedTokens added);

  Result<void> encode(std::string_view text, const EncodeOptions& options, EncodeScratch& scratch,
                      std::vector<TokenId>& out) const;

  /// The string that the decoder gets for an id; nothing in a hole. Borrowed from the parts.
  std::optional<std::string_view> decodable(TokenId id) const;
  Result<void> check_id(TokenId id) const;

  const TokenizerParts& parts() const { return parts_; }
  const AddedTokens& added() const { return added_; }
  std::size_t vocabulary_size() const { return vocabulary_size_; }
  bool is_special(TokenId id) const;
  /// Whether decoding with skip_special leaves it out.
  bool is_skipped(TokenId id) const;
  std::uint64_t encode_bytes(std::uint64_t text_bytes) const;

  /// Takes a scratch that is free, or makes one. `closed`: text must not spell control tokens.
  std::unique_ptr<EncodeScratch> take_scratch(bool closed) const;
  void give_back(std::unique_ptr<EncodeScratch> scratch) const;

 private:
  Result<void> encode_text(std::string_view text, const TextSpan& span,
                           const EncodeOptions& options, EncodeScratch& scratch,
                           std::vector<TokenId>& out) const;
  Result<void> encode_normalized(std::string_view text, std::size_t first_bytes,
                                 EncodeScratch& scratch, std::vector<TokenId>& out) const;

  // constant after make
  TokenizerParts parts_;
  AddedTokens added_;
  std::size_t vocabulary_size_ = 0;
  ClosedIds closed_;           // control tokens that a model could spell
  bool needs_origin_ = false;  // the pre-tokenizer asks which word began the text

  // guarded by mutex_
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<EncodeScratch>> free_;
};

}  // namespace ollm::text
