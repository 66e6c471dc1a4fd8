// The pre-tokenizers that match patterns or rewrite words: Split, ByteLevel, Metaspace
// (pre_tokenizer.h). Leaves the patterns themselves to pattern.h and regex.h.
#include <utility>

#include "ollm/base/check.h"
#include "ollm/text/pre_tokenizer.h"
#include "ollm/text/split_behavior.h"

namespace ollm::text {
namespace {

// GPT-2's pattern, as the Hugging Face library has it in ByteLevel.
constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

Result<void> split_by(PreTokenizedText& text, const Pattern& pattern, SplitBehavior behavior,
                      bool invert, RegexScratch& scratch) {
  return text.split([&](std::string_view word, const auto& emit) -> Result<void> {
    Splitter splitter(behavior, emit);
    Matches matches(pattern, word, scratch);
    TextSpan match;
    std::size_t done = 0;
    for (;;) {
      OLLM_TRY(const bool found, matches.next(match));
      if (!found) break;
      if (done < match.begin) splitter.add({done, match.begin}, invert);
      splitter.add(match, !invert);
      done = match.end;
    }
    if (done < word.size()) splitter.add({done, word.size()}, invert);
    splitter.finish();
    return {};
  });
}

class Split final : public PreTokenizer {
 public:
  Split(Pattern pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}

  Result<void> apply(PreTokenizedText& text, RegexScratch& scratch) const override {
    return split_by(text, pattern_, behavior_, invert_, scratch);
  }
  std::size_t memory_bytes() const override { return pattern_.memory_bytes(); }

 private:
  Pattern pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

class ByteLevel final : public PreTokenizer {
 public:
  ByteLevel(const ByteLevelOptions& options, Pattern pattern)
      : options_(options), pattern_(std::move(pattern)) {}

  Result<void> apply(PreTokenizedText& text, RegexScratch& scratch) const override {
    if (options_.add_prefix_space) {
      text.rewrite([](std::string_view word, bool, std::string& out) {
        if (!word.starts_with(' ')) out += ' ';
        out += word;
      });
    }
    if (options_.use_regex) {
      OLLM_TRY_VOID(split_by(text, pattern_, SplitBehavior::isolated, false, scratch));
    }
    text.encode_bytes();
    return {};
  }
  std::size_t memory_bytes() const override { return pattern_.memory_bytes(); }

 private:
  ByteLevelOptions options_;
  Pattern pattern_;
};

class Metaspace final : public PreTokenizer {
 public:
  Metaspace(std::string replacement, PrependScheme scheme, bool split)
      : replacement_(std::move(replacement)), scheme_(scheme), split_(split) {}

  Result<void> apply(PreTokenizedText& text, RegexScratch&) const override {
    text.rewrite([&](std::string_view word, bool is_first, std::string& out) {
      const bool prepend =
          scheme_ == PrependScheme::always || (scheme_ == PrependScheme::first && is_first);
      if (prepend && !word.starts_with(replacement_) && !word.starts_with(' ')) out += replacement_;
      for (std::size_t at = 0; at < word.size();) {
        const std::size_t space = word.find(' ', at);
        out += word.substr(at, space - at);
        if (space == std::string_view::npos) break;
        out += replacement_;
        at = space + 1;
      }
    });
    if (!split_) return {};
    return text.split([&](std::string_view word, const auto& emit) -> Result<void> {
      Splitter splitter(SplitBehavior::merged_with_next, emit);
      std::size_t done = 0;
      for (;;) {
        const std::size_t found = word.find(replacement_, done);
        if (found == std::string_view::npos) break;
        if (done < found) splitter.add({done, found}, false);
        done = found + replacement_.size();
        splitter.add({found, done}, true);
      }
      if (done < word.size()) splitter.add({done, word.size()}, false);
      splitter.finish();
      return {};
    });
  }
  bool needs_origin() const override { return scheme_ == PrependScheme::first; }

 private:
  std::string replacement_;
  PrependScheme scheme_;
  bool split_;
};

}  // namespace

PreTokenizerPtr make_byte_level_pre_tokenizer(const ByteLevelOptions& options) {
  auto regex = Regex::make(kGpt2Pattern);
  OLLM_CHECK(regex.ok());  // a constant of ours
  return std::make_unique<ByteLevel>(options, Pattern(std::move(regex).value()));
}

PreTokenizerPtr make_split_pre_tokenizer(Pattern pattern, SplitBehavior behavior, bool invert) {
  return std::make_unique<Split>(std::move(pattern), behavior, invert);
}

PreTokenizerPtr make_metaspace_pre_tokenizer(std::string replacement, PrependScheme scheme,
                                             bool split) {
  return std::make_unique<Metaspace>(std::move(replacement), scheme, split);
}

}  // namespace ollm::text
