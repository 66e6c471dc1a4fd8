// Finding added tokens from left to right (added_tokens.h).
// Leaves the walk along one token to byte_trie.h.
#include "ollm/text/added_tokens.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "ollm/text/unicode.h"
#include "ollm/text/utf8.h"

namespace ollm::text {
namespace {

bool ends_with_word(std::string_view text) {
  std::size_t end = text.size();
  return !text.empty() && unicode::is_word(unicode::previous_code_point(text, end));
}

bool starts_with_word(std::string_view text) {
  std::size_t at = 0;
  return !text.empty() && unicode::is_word(unicode::next_code_point(text, at));
}

// Where the white space begins that ends at byte `end`, not before `least`.
std::size_t white_space_before(std::string_view text, std::size_t end, std::size_t least) {
  while (end > least) {
    std::size_t begin = end;
    if (!unicode::is_white_space(unicode::previous_code_point(text, begin))) break;
    end = begin;
  }
  return end;
}

std::size_t white_space_behind(std::string_view text, std::size_t at) {
  while (at < text.size()) {
    std::size_t behind = at;
    if (!unicode::is_white_space(unicode::next_code_point(text, behind))) break;
    at = behind;
  }
  return at;
}

}  // namespace

Result<AddedTokens> AddedTokens::make(std::vector<AddedToken> tokens, const Vocabulary& vocabulary,
                                      const Normalizer* normalizer) {
  AddedTokens made;
  RegexScratch scratch;
  std::unordered_map<std::string, AddedToken> seen;  // as the file has them
  std::int64_t largest = -1;
  for (AddedToken& token : tokens) {
    if (token.content.empty()) continue;  // stands for nothing that could be found
    const auto [same, is_new] = seen.emplace(token.content, token);
    if (!is_new) {
      if (same->second == token) continue;
      return fail(ErrorKind::corrupt,
                  fmt::format("added token '{}' stands twice, with ids {} and {} or other flags",
                              token.content, same->second.id, token.id));
    }
    const auto count = static_cast<std::int64_t>(vocabulary.count());
    const std::int64_t next = largest >= count ? largest + 1 : count;
    const std::int64_t id = vocabulary.find(token.content).value_or(static_cast<TokenId>(next));
    largest = std::max(largest, id);
    token.id = static_cast<TokenId>(id);
    if (const AddedToken* other = made.find(token.id)) {
      return fail(ErrorKind::corrupt, fmt::format("added tokens '{}' and '{}' both have id {}",
                                                  other->content, token.content, token.id));
    }
    if (token.content.size() > kMaxContentBytes) {
      return fail(ErrorKind::unsupported,
                  fmt::format("an added token of {} bytes, '{}...'; the limit is {}",
                              token.content.size(), token.content.substr(0, 32), kMaxContentBytes));
    }
    TrackedText text;
    text.text = token.content;
    if (token.normalized && normalizer != nullptr) {
      if (auto done = normalizer->apply(text, scratch); !done.ok()) {
        return std::move(done).error().within(fmt::format("added token '{}'", token.content));
      }
    }
    const std::size_t index = made.tokens_.size();
    made.by_id_.emplace(token.id, index);
    made.by_content_.emplace(token.content, index);
    made.size_ = std::max(made.size_, static_cast<std::size_t>(token.id) + 1);
    made.decoded_.push_back(std::move(text.text));
    made.tokens_.push_back(std::move(token));
  }
  // Where two read the same once normalized, a control token goes before others.
  std::vector<std::pair<std::string_view, std::int32_t>> raw;
  std::vector<std::pair<std::string_view, std::int32_t>> normalized;
  for (const bool special : {true, false}) {
    for (std::size_t i = 0; i < made.tokens_.size(); ++i) {
      const AddedToken& token = made.tokens_[i];
      if (token.special != special) continue;
      (token.normalized ? normalized : raw)
          .emplace_back(made.decoded_[i], static_cast<std::int32_t>(i));
      if (token.normalized && special) made.has_normalized_special_ = true;
    }
  }
  made.raw_ = ByteTrie(std::move(raw));
  made.normalized_ = ByteTrie(std::move(normalized));
  for (const std::string& text : made.decoded_) {
    const AddedToken* same = made.find(text);
    made.skipped_.push_back(same != nullptr && same->special);
  }
  return made;
}

const AddedToken* AddedTokens::find(TokenId id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &tokens_[found->second];
}

const AddedToken* AddedTokens::find(std::string_view content) const {
  const auto found = by_content_.find(std::string(content));
  return found == by_content_.end() ? nullptr : &tokens_[found->second];
}

const std::string& AddedTokens::decoded(const AddedToken& token) const {
  return decoded_[index_of(token)];
}

Result<void> AddedTokens::split(const ByteTrie& trie, std::string_view text,
                                const Allowed& special_allowed, const Take& take) const {
  std::size_t done = 0;
  TextSpan white{1, 0};  // the white space found last: a token may consist of it, many times over
  const auto text_until = [&](std::size_t end) -> Result<void> {
    if (done >= end) return {};
    return take({{done, end}, -1});
  };
  for (std::size_t at = trie.empty() ? text.size() : 0; at < text.size();) {
    if (!trie.may_begin_with(text[at])) {
      ++at;
      continue;
    }
    const AddedToken* longest = nullptr;
    std::size_t length = 0;
    trie.match(text, at, [&](std::int32_t index, std::size_t bytes) {
      const AddedToken& token = tokens_[static_cast<std::size_t>(index)];
      if (token.special && special_allowed && !special_allowed({at, at + bytes})) return;
      longest = &token;
      length = bytes;
    });
    if (longest == nullptr) {
      ++at;
      continue;
    }
    TextSpan span{at, at + length};
    at = span.end;  // the search goes on here, whatever becomes of the match
    if (longest->single_word &&
        (ends_with_word(text.substr(0, span.begin)) || starts_with_word(text.substr(span.end)))) {
      continue;
    }
    // White space that the token before took is not taken again, but the next token may begin in
    // it.
    if (longest->lstrip) {
      span.begin = std::max(white_space_before(text, span.begin, done), done);
    }
    if (longest->rstrip) {
      if (span.end < white.begin || span.end > white.end) {
        white = {span.end, white_space_behind(text, span.end)};
      }
      span.end = white.end;
    }
    OLLM_TRY_VOID(text_until(span.begin));
    OLLM_TRY_VOID(take({span, longest->id}));
    done = span.end;
  }
  return text_until(text.size());
}

std::size_t AddedTokens::memory_bytes() const {
  std::size_t bytes = raw_.memory_bytes() + normalized_.memory_bytes();
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    // The content stands in tokens_ and by_content_; about four words for each node of the maps.
    bytes += sizeof(AddedToken) + 2 * tokens_[i].content.size() + decoded_[i].size() + 128;
  }
  return bytes;
}

}  // namespace ollm::text
