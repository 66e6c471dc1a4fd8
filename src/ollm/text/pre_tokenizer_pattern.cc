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

Result<void> split_by(const Word& whole, const Pattern& pattern, SplitBehavior behavior,
                      bool invert, RegexScratch& scratch, WordSink& next) {
  return split(whole, next, [&](std::string_view word, const auto& emit) -> Result<void> {
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

  Result<void> apply(const Word& word, RegexScratch& scratch, WordSink& next) const override {
    return split_by(word, pattern_, behavior_, invert_, scratch, next);
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

  Result<void> apply(const Word& word, RegexScratch& scratch, WordSink& next) const override {
    std::string written;
    Word whole = word.written_out(written);
    std::string prefixed;
    if (options_.add_prefix_space && !whole.text.starts_with(' ')) {
      prefixed.reserve(whole.text.size() + 1);
      prefixed += ' ';
      prefixed += whole.text;
      whole = whole.with_text(prefixed);
    } else if (options_.add_prefix_space) {
      whole = whole.with_text(whole.text);
    }
    AsBytes as_bytes(next);
    if (!options_.use_regex) return as_bytes.take(whole);
    return split_by(whole, pattern_, SplitBehavior::isolated, false, scratch, as_bytes);
  }
  bool makes_bytes() const override { return true; }
  // The prefixed copy; written out, where the words were byte-level already, twice as long.
  Growth growth() const override { return {1, options_.add_prefix_space ? 1.0 : 0.0}; }
  std::size_t memory_bytes() const override { return pattern_.memory_bytes(); }

 private:
  // Bytes are kept as they are until somebody needs the characters that they stand for.
  class AsBytes final : public WordSink {
   public:
    explicit AsBytes(WordSink& next) : next_(next) {}
    Result<void> take(const Word& word) override {
      Word bytes = word;
      bytes.byte_level = true;
      return next_.take(bytes);
    }

   private:
    WordSink& next_;
  };

  ByteLevelOptions options_;
  Pattern pattern_;
};

class Metaspace final : public PreTokenizer {
 public:
  Metaspace(std::string replacement, PrependScheme scheme, bool split)
      : replacement_(std::move(replacement)), scheme_(scheme), split_(split) {}

  Result<void> apply(const Word& word, RegexScratch&, WordSink& next) const override {
    std::string written;
    const Word whole = word.written_out(written);
    const std::string_view text = whole.text;
    const bool prepend = (scheme_ == PrependScheme::always ||
                          (scheme_ == PrependScheme::first && whole.is_first())) &&
                         !text.starts_with(replacement_) && !text.starts_with(' ');
    std::string out;
    if (!split_) out.reserve(text.size() + text.size() / 8);
    if (prepend) out += replacement_;
    for (std::size_t at = 0; at < text.size();) {
      // A word ends where the next replacement begins; a space is one.
      const std::size_t space = text.find(' ', at);
      std::size_t mark = split_ ? text.substr(0, space).find(replacement_, at) : space;
      if (mark == std::string_view::npos) mark = space;
      out += text.substr(at, mark - at);
      if (mark == std::string_view::npos) break;
      if (split_ && !out.empty()) {
        OLLM_TRY_VOID(next.take(whole.with_text(out)));
        out.clear();
      }
      out += replacement_;
      at = mark + (mark == space ? 1 : replacement_.size());
    }
    if (split_ && out.empty()) return {};
    return next.take(whole.with_text(out));
  }
  // Words are short where they are split at spaces; a text without any is one.
  Growth growth() const override {
    return split_ ? Growth{1, 2} : Growth::of_rewriting(static_cast<double>(replacement_.size()));
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
