// Text to token ids and back, as the Hugging Face library does it for the same files.
// Leaves chat templates to template/ and files on disk to who calls: parsers take bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/base/token_id.h"
#include "ollm/text/text_span.h"

namespace ollm::text {

/// Of one text: words are counted in 32 bits.
inline constexpr std::size_t kMaxTextBytes = std::size_t{1} << 30;

/// The files of a model folder that say how text becomes ids; empty where the folder has none.
struct TokenizerFiles {
  std::string_view tokenizer_json = {};         // bytes of tokenizer.json
  std::string_view tokenizer_config_json = {};  // bytes of tokenizer_config.json
  std::string_view special_tokens_map_json = {};
  std::string_view added_tokens_json = {};
  std::string_view sentencepiece_model = {};  // bytes of tokenizer.model
  std::string_view other_form = {};           // name of a file of another form, for the error
};

/// How much a tokenizer takes, by the sizes of its files alone, for plans that open nothing.
struct TokenizerMemory {
  std::uint64_t held_bytes = 0;     // once it is open
  std::uint64_t opening_bytes = 0;  // at most, while it is opened: those held, and the files, too
};

/// An upper bound for published kinds of tokenizer, held by a test: what is held are the strings of
/// the vocabulary, a table of merges and a search tree; opening holds the file, its parsed form,
/// and lists of both. `sentencepiece_bytes` of a tokenizer.model count where there is no
/// tokenizer.json (0 bytes).
TokenizerMemory tokenizer_memory(std::uint64_t tokenizer_json_bytes,
                                 std::uint64_t sentencepiece_bytes);

struct EncodeOptions {
  /// Adds what the post-processor adds, such as a token for the beginning.
  bool add_special = true;

  /// Whether the text of a control token (an added token marked special) means that token. If not,
  /// it is text like any other: what a user writes cannot speak for the system. A model that has
  /// the token in its own vocabulary does not find it there either (but one of a single character).
  /// Added tokens that are not special are ordinary vocabulary, and are found either way.
  bool parse_special = false;

  /// With parse_special, spans in bytes of the text in which control tokens are text all the same,
  /// ascending and disjoint. A control token that only touches such a span is text, too. The text
  /// is still encoded as one: without control tokens in the spans, ids do not depend on them.
  std::span<const TextSpan> literal = {};
};

/// A tokenizer. Movable, and constant once made: any number of threads may use it at once.
class Tokenizer {
 public:
  /// Reads a tokenizer. tokenizer.json decides; tokenizer_config.json counts for added tokens that
  /// it lacks and, where its post-processor adds nothing, for add_bos_token and add_eos_token.
  /// Without it a SentencePiece model does, as the tokenizer_class of the config reads it.
  /// `clean_up_tokenization_spaces` is never applied.
  /// Errors: not_found without any file that defines a tokenizer; corrupt and unsupported, naming
  /// file, field and value.
  static Result<Tokenizer> make(const TokenizerFiles& files);

  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  /// The ids of a text. Errors: invalid_argument where the text is not UTF-8 (naming the byte: text
  /// is never repaired in silence) or above 1 GiB, or where the literal spans are not ascending and
  /// inside; unsupported where the vocabulary has no token for a character, or a pattern of the
  /// tokenizer runs into its limits.
  Result<std::vector<TokenId>> encode(std::string_view text, const EncodeOptions& options) const;

  /// The text of ids. Bytes that are no UTF-8 read as U+FFFD; an id in a hole of the vocabulary
  /// reads as nothing. With skip_special, control tokens read as nothing. Errors: invalid_argument
  /// for an id below 0 or not below vocabulary_size().
  Result<std::string> decode(std::span<const TokenId> ids, bool skip_special) const;

  /// The bytes that a token brings into a text behind another one: maybe less than a character, and
  /// for control tokens their content. Those of all ids are the text's, but for what its beginning
  /// and end may drop. Errors: as decode.
  Result<std::string> token_bytes(TokenId id) const;

  /// The largest id + 1, added tokens included.
  std::size_t vocabulary_size() const;

  /// The id of a token by its exact content, added tokens first.
  std::optional<TokenId> id_of(std::string_view token) const;
  /// The content of a token as the vocabulary has it.
  std::optional<std::string> token_of(TokenId id) const;
  /// Whether it is a control token.
  bool is_special(TokenId id) const;

  /// The most bytes that encoding one text of that size takes at a time, beside the text and 4 for
  /// each of its ids: an upper bound over all texts, made of how much each step of this tokenizer
  /// may lengthen a text and holds of it. Memory that a pattern needs to backtrack is not in it
  /// (RegexLimits; none of the published patterns does).
  std::uint64_t encode_bytes(std::uint64_t text_bytes) const;

  /// Bytes held while nothing is encoded, for the memory ledger; an estimate within some percent.
  /// Each thread that encodes at the same time adds about 1.2 MiB, and as much
  /// again where it encodes texts with and without `parse_special`.
  std::size_t memory_bytes() const;

 private:
  friend class StreamingDetokenizer;
  class State;
  explicit Tokenizer(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

/// The text of a growing list of ids, piece by piece; one for each sequence, O(1) for each id.
///
/// What it has brought out is the text of the ids so far without U+FFFD at its end: never half a
/// character. All pieces and the end together are what `decode` makes of the ids, except where that
/// takes back what was shown: byte fallback tokens that are no UTF-8 right behind such as were
/// whole characters then read as U+FFFD by themselves, and a BPEDecoder's suffix in the middle of a
/// token stays as it was shown.
class StreamingDetokenizer {
 public:
  /// The tokenizer must outlive it.
  StreamingDetokenizer(const Tokenizer& tokenizer, bool skip_special);
  ~StreamingDetokenizer();
  StreamingDetokenizer(StreamingDetokenizer&&) noexcept;
  StreamingDetokenizer& operator=(StreamingDetokenizer&&) noexcept;

  /// What this id brings out; maybe nothing. Errors: as Tokenizer::decode.
  Result<std::string> push(TokenId id);

  /// What the end still brings out. Nothing may be pushed behind it.
  std::string finish();

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace ollm::text
