// Models: how a word becomes token ids. BPE, Unigram, WordPiece, WordLevel.
// Leaves cutting a text into words to pre_tokenizer.h, and added tokens to added_tokens.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/base/token_id.h"
#include "ollm/text/text_span.h"
#include "ollm/text/vocabulary.h"

namespace ollm::text {

/// Which ids no text may spell, by id: control tokens, in text of users.
using ClosedIds = std::vector<bool>;

/// Working memory of a model: one per thread that encodes, handed in with every word.
class ModelScratch {
 public:
  explicit ModelScratch(const ClosedIds* closed) : closed_(closed) {}
  virtual ~ModelScratch() = default;

  /// Whether the token counts as not in the vocabulary. It may still be the unknown token.
  bool is_closed(TokenId id) const {
    return closed_ != nullptr && static_cast<std::size_t>(id) < closed_->size() &&
           (*closed_)[static_cast<std::size_t>(id)];
  }

 private:
  const ClosedIds* closed_;
};

/// Constant once made; any number of threads may call it at once, each with its own scratch.
class Model {
 public:
  virtual ~Model() = default;

  /// `closed` must outlive the scratch; null where text may spell every token.
  virtual std::unique_ptr<ModelScratch> make_scratch(const ClosedIds* closed) const = 0;

  /// Appends the ids of one word (valid UTF-8, not empty) to `out`.
  /// Errors: unsupported where a character is not in the vocabulary and the unknown token is
  /// missing.
  virtual Result<void> tokenize(std::string_view word, ModelScratch& scratch,
                                std::vector<TokenId>& out) const = 0;

  /// The same for a word of any bytes that stand for characters of the byte-level alphabet.
  virtual Result<void> tokenize_bytes(std::string_view word, ModelScratch& scratch,
                                      std::vector<TokenId>& out) const;

  /// The most bytes held for each byte of a word (`byte_level`: of one for tokenize_bytes), and
  /// whatever the word.
  virtual double bytes_per_text_byte(bool /*byte_level*/) const { return 0; }
  virtual std::uint64_t scratch_bytes() const { return 0; }

  virtual const Vocabulary& vocabulary() const = 0;
  /// Without the vocabulary.
  virtual std::size_t memory_bytes() const = 0;
};

using ModelPtr = std::unique_ptr<const Model>;

/// Byte pair encoding. Source: Sennrich et al., "Neural Machine Translation of Rare Words with
/// Subword Units", 2016; options as in tokenizer.json.
struct BpeOptions {
  std::optional<std::string> unk_token;   // for characters outside; without it they are dropped
  std::string continuing_subword_prefix;  // of every character but a word's first
  std::string end_of_word_suffix;         // of a word's last character
  bool fuse_unk = false;                  // neighbouring unknown characters are one token
  bool byte_fallback = false;             // <0x00> to <0xFF> for unknown characters
  bool ignore_merges = false;             // a word that is a token is that token
};

/// The merges of a BPE model, by rank.
struct Merge {
  TokenId left;
  TokenId right;
  TokenId result;
};

/// An unk_token that is not in the vocabulary is an error once it is needed.
ModelPtr make_bpe_model(Vocabulary vocabulary, std::vector<Merge> merges,
                        const BpeOptions& options);

/// Unigram: the segmentation with the highest sum of scores. Source: Kudo, "Subword
/// Regularization", 2018; ties as in SentencePiece's EncodeOptimized.
struct UnigramOptions {
  std::vector<double> scores;  // by id
  std::optional<TokenId> unk_id;
  bool byte_fallback = false;
  ClosedIds closed;  // tokens that no text spells, for whoever encodes; the unknown one may be
};
ModelPtr make_unigram_model(Vocabulary vocabulary, UnigramOptions options);

/// WordPiece: the longest prefix that is a token, again and again.
struct WordPieceOptions {
  std::string unk_token = "[UNK]";
  std::string continuing_subword_prefix = "##";
  std::size_t max_input_chars_per_word = 100;  // a longer word is the unknown token
};
ModelPtr make_wordpiece_model(Vocabulary vocabulary, const WordPieceOptions& options);

/// WordLevel: a word is a token or unknown.
ModelPtr make_wordlevel_model(Vocabulary vocabulary, std::string unk_token);

}  // namespace ollm::text
