// WordPiece and WordLevel (model.h).
// Leaves cutting into words, and lower case, to the steps before.
#include <fmt/format.h>

#include <string>

#include "ollm/text/byte_trie.h"
#include "ollm/text/model.h"
#include "ollm/text/utf8.h"

namespace ollm::text {
namespace {

class NoScratch final : public ModelScratch {
 public:
  using ModelScratch::ModelScratch;
};

Error no_unknown(std::string_view word, std::string_view unk_token) {
  return fail(ErrorKind::unsupported,
              fmt::format("'{}' is not in the vocabulary, and neither is the unk_token '{}'",
                          word.substr(0, 64), unk_token));
}

class WordPieceModel final : public Model {
 public:
  WordPieceModel(Vocabulary vocabulary, const WordPieceOptions& options)
      : vocabulary_(std::move(vocabulary)), options_(options) {
    std::vector<std::pair<std::string_view, std::int32_t>> first;
    std::vector<std::pair<std::string_view, std::int32_t>> continuing;
    const std::string_view prefix = options_.continuing_subword_prefix;
    for (std::size_t i = 0; i < vocabulary_.size(); ++i) {
      const auto id = static_cast<TokenId>(i);
      const auto token = vocabulary_.at(id);
      if (!token) continue;
      first.emplace_back(*token, id);
      if (token->starts_with(prefix)) continuing.emplace_back(token->substr(prefix.size()), id);
    }
    first_ = ByteTrie(std::move(first));
    continuing_ = ByteTrie(std::move(continuing));
    unk_ = vocabulary_.find(options_.unk_token);
  }

  std::unique_ptr<ModelScratch> make_scratch(const ClosedIds* closed) const override {
    return std::make_unique<NoScratch>(closed);
  }

  Result<void> tokenize(std::string_view word, ModelScratch& scratch,
                        std::vector<TokenId>& out) const override {
    std::size_t characters = 0;
    for (const char byte : word) characters += unicode::is_utf8_continuation(byte) ? 0 : 1;
    const std::size_t before = out.size();
    bool known = characters <= options_.max_input_chars_per_word;
    for (std::size_t at = 0; known && at < word.size();) {
      TokenId longest = -1;
      std::size_t length = 0;
      (at == 0 ? first_ : continuing_).match(word, at, [&](std::int32_t id, std::size_t bytes) {
        if (scratch.is_closed(id)) return;
        longest = id;
        length = bytes;
      });
      known = longest >= 0;
      out.push_back(longest);
      at += length;
    }
    if (known) return {};
    if (!unk_) return no_unknown(word, options_.unk_token);
    out.resize(before);
    out.push_back(*unk_);
    return {};
  }

  const Vocabulary& vocabulary() const override { return vocabulary_; }
  std::size_t memory_bytes() const override {
    return sizeof(*this) + first_.memory_bytes() + continuing_.memory_bytes();
  }

 private:
  Vocabulary vocabulary_;
  WordPieceOptions options_;
  ByteTrie first_;
  ByteTrie continuing_;  // tokens with the prefix, without it
  std::optional<TokenId> unk_;
};

class WordLevelModel final : public Model {
 public:
  WordLevelModel(Vocabulary vocabulary, std::string unk_token)
      : vocabulary_(std::move(vocabulary)),
        unk_token_(std::move(unk_token)),
        unk_(vocabulary_.find(unk_token_)) {}

  std::unique_ptr<ModelScratch> make_scratch(const ClosedIds* closed) const override {
    return std::make_unique<NoScratch>(closed);
  }

  Result<void> tokenize(std::string_view word, ModelScratch& scratch,
                        std::vector<TokenId>& out) const override {
    auto id = vocabulary_.find(word);
    if (!id || scratch.is_closed(*id)) id = unk_;
    if (!id) return no_unknown(word, unk_token_);
    out.push_back(*id);
    return {};
  }

  const Vocabulary& vocabulary() const override { return vocabulary_; }
  std::size_t memory_bytes() const override { return sizeof(*this); }

 private:
  Vocabulary vocabulary_;
  std::string unk_token_;
  std::optional<TokenId> unk_;
};

}  // namespace

ModelPtr make_wordpiece_model(Vocabulary vocabulary, const WordPieceOptions& options) {
  return std::make_unique<WordPieceModel>(std::move(vocabulary), options);
}

ModelPtr make_wordlevel_model(Vocabulary vocabulary, std::string unk_token) {
  return std::make_unique<WordLevelModel>(std::move(vocabulary), std::move(unk_token));
}

}  // namespace ollm::text
