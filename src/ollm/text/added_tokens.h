// Added tokens: strings that are found in a text before anything else is done to it.
// Leaves the text between them to normalizer, pre-tokenizer and model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/base/token_id.h"
#include "ollm/text/byte_trie.h"
#include "ollm/text/normalizer.h"
#include "ollm/text/text_span.h"
#include "ollm/text/vocabulary.h"

namespace ollm::text {

struct AddedToken {
  std::string content;
  TokenId id = 0;
  bool single_word = false;  // only where no character of a word stands right beside it
  bool lstrip = false;       // takes the white space before it along
  bool rstrip = false;       // and behind it
  bool normalized = true;    // looked for in the normalized text, and normalized itself
  bool special = false;      // a control token

  friend bool operator==(const AddedToken&, const AddedToken&) = default;
};

/// A stretch of a text: an added token, or text (id below 0).
struct Stretch {
  TextSpan span;
  TokenId id;
};

/// The added tokens of a tokenizer; constant, any number of threads may look at once.
class AddedTokens {
 public:
  AddedTokens() = default;

  /// The ids are those that the Hugging Face library gives, whatever the file says: that of the
  /// vocabulary where the content is in it, else the next one behind vocabulary and tokens before.
  /// In files that the library wrote both are the same.
  /// Errors: corrupt where one content stands twice and differs in id or flags; unsupported where a
  /// content is longer than kMaxContentBytes, which bounds the search; those of the normalizer.
  static Result<AddedTokens> make(std::vector<AddedToken> tokens, const Vocabulary& vocabulary,
                                  const Normalizer* normalizer);
  static constexpr std::size_t kMaxContentBytes = 1024;

  const AddedToken* find(TokenId id) const;
  const AddedToken* find(std::string_view content) const;
  const std::vector<AddedToken>& all() const { return tokens_; }
  /// The largest id + 1; 0 without tokens.
  std::size_t size() const { return size_; }

  /// What the token reads as when it is decoded: its content, or that normalized.
  const std::string& decoded(const AddedToken& token) const;
  /// Whether decoding without control tokens skips it: where it reads as one of them.
  bool is_skipped(const AddedToken& token) const { return skipped_[index_of(token)]; }

  /// Whether a control token may be matched on these bytes of the searched text.
  using Allowed = std::function<bool(TextSpan)>;

  /// Takes the stretches of a text in their order.
  using Take = std::function<Result<void>(const Stretch&)>;

  /// Cuts `text` at the tokens that are not looked for in normalized text. Of those that begin at
  /// one place the longest counts. `special_allowed` is asked for each control token (empty: all).
  /// Errors: those of `take`, which is not called again behind one.
  Result<void> split(std::string_view text, const Allowed& special_allowed,
                     const Take& take) const {
    return split(raw_, text, special_allowed, take);
  }
  /// The same in normalized text, for the other tokens.
  Result<void> split_normalized(std::string_view text, const Allowed& special_allowed,
                                const Take& take) const {
    return split(normalized_, text, special_allowed, take);
  }
  bool has_normalized() const { return !normalized_.empty(); }
  bool has_normalized_special() const { return has_normalized_special_; }

  std::size_t memory_bytes() const;

 private:
  Result<void> split(const ByteTrie& trie, std::string_view text, const Allowed& special_allowed,
                     const Take& take) const;

  std::vector<AddedToken> tokens_;
  std::size_t index_of(const AddedToken& token) const {
    return static_cast<std::size_t>(&token - tokens_.data());
  }

  std::vector<std::string> decoded_;  // beside tokens_
  std::vector<bool> skipped_;         // beside tokens_
  std::unordered_map<TokenId, std::size_t> by_id_;
  std::unordered_map<std::string, std::size_t> by_content_;
  ByteTrie raw_;  // values: indices of tokens_
  ByteTrie normalized_;
  bool has_normalized_special_ = false;
  std::size_t size_ = 0;
};

}  // namespace ollm::text
