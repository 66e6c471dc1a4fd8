// The normalizers that need no table of their own (normalizer.h).
// Leaves out BertNormalizer (normalizer_bert.cc) and Precompiled (normalizer_precompiled.cc).
#include "ollm/text/normalizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "ollm/text/byte_level.h"
#include "ollm/text/utf8.h"

namespace ollm::text {
namespace {

using unicode::next_code_point;

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<signed char>(c) >= 0; });
}

class UnicodeNormalizer final : public Normalizer {
 public:
  explicit UnicodeNormalizer(unicode::NormalizationForm form) : form_(form) {}

  Result<void> apply(TrackedText& text, RegexScratch&) const override {
    if (is_ascii(text.text)) return {};
    const std::string_view in = text.text;
    TrackedWriter out(text);
    for (std::size_t at = 0; at < in.size();) {
      // An ASCII character that another follows is its own normal form.
      std::size_t plain = at;
      while (plain + 1 < in.size() && static_cast<signed char>(in[plain]) >= 0 &&
             static_cast<signed char>(in[plain + 1]) >= 0) {
        ++plain;
      }
      out.copy(at, plain);
      at = plain;
      const std::size_t length = unicode::independent_prefix(in.substr(at));
      unicode::append_normalized(out.text(), in.substr(at, length), form_);
      out.mark(at);
      at += length;
    }
    text = out.take();
    return {};
  }

  // By U+1D160 and U+FDFA, which become three and eleven times as long.
  Growth growth() const override {
    const bool compatible =
        form_ == unicode::NormalizationForm::nfkc || form_ == unicode::NormalizationForm::nfkd;
    return Growth::of_rewriting(compatible ? 11 : 3);
  }

 private:
  unicode::NormalizationForm form_;
};

class LowercaseNormalizer final : public Normalizer {
 public:
  Result<void> apply(TrackedText& text, RegexScratch&) const override {
    rewrite(text, [](char32_t c, std::size_t begin, std::size_t, TrackedWriter& out) {
      unicode::append_lower(out.text(), c);
      out.mark(begin);
    });
    return {};
  }
  // By U+0130 and U+023A: two bytes become three.
  Growth growth() const override { return Growth::of_rewriting(1.5); }
};

class StripNormalizer final : public Normalizer {
 public:
  StripNormalizer(bool left, bool right) : left_(left), right_(right) {}

  Result<void> apply(TrackedText& text, RegexScratch&) const override {
    const std::string_view in = text.text;
    std::size_t begin = 0;
    std::size_t end = in.size();
    while (left_ && begin < end) {
      std::size_t next = begin;
      if (!unicode::is_white_space(next_code_point(in, next))) break;
      begin = next;
    }
    while (right_ && begin < end) {
      std::size_t previous = end;
      if (!unicode::is_white_space(unicode::previous_code_point(in, previous))) break;
      end = previous;
    }
    TrackedWriter out(text);
    out.copy(begin, end);
    text = out.take();
    return {};
  }

 private:
  bool left_;
  bool right_;
};

class StripAccentsNormalizer final : public Normalizer {
 public:
  Result<void> apply(TrackedText& text, RegexScratch&) const override {
    rewrite(text, [](char32_t c, std::size_t begin, std::size_t end, TrackedWriter& out) {
      if (!unicode::is_mark(c)) out.copy(begin, end);
    });
    return {};
  }
};

class ReplaceNormalizer final : public Normalizer {
 public:
  ReplaceNormalizer(Pattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}

  Result<void> apply(TrackedText& text, RegexScratch& scratch) const override {
    if (text.text.empty()) return {};
    TrackedWriter out(text);
    TextSpan match;
    if (const std::string* plain = pattern_.plain(); plain && content_.size() > plain->size()) {
      std::size_t bytes = text.text.size();
      Matches counted(pattern_, text.text, scratch);
      for (;;) {
        OLLM_TRY(const bool found, counted.next(match));
        if (!found) break;
        bytes += content_.size() - plain->size();
      }
      out.reserve(bytes);
    }
    Matches matches(pattern_, text.text, scratch);
    std::size_t done = 0;
    for (;;) {
      OLLM_TRY(const bool found, matches.next(match));
      if (!found) break;
      out.copy(done, match.begin);
      out.put(content_, std::min(match.begin, text.text.size() - 1));
      if (out.is_over_limit()) {
        return fail(ErrorKind::unsupported,
                    fmt::format("normalizer: Replace makes more than {} bytes of a text",
                                text.limit_bytes));
      }
      done = match.end;
    }
    out.copy(done, text.text.size());
    text = out.take();
    return {};
  }
  std::size_t memory_bytes() const override { return pattern_.memory_bytes() + content_.size(); }

  Growth growth() const override {
    // An expression may match nothing, before every byte.
    const auto content = static_cast<double>(content_.size());
    const std::string* plain = pattern_.plain();
    if (plain == nullptr) return Growth::of_rewriting(1 + content);
    if (plain->empty()) return Growth::of_rewriting(1);
    const double out = std::max(1.0, content / static_cast<double>(plain->size()));
    return {out, std::max(out, Growth::of_rewriting(1).peak)};
  }

 private:
  Pattern pattern_;
  std::string content_;
};

class PrependNormalizer final : public Normalizer {
 public:
  explicit PrependNormalizer(std::string content) : content_(std::move(content)) {}

  Result<void> apply(TrackedText& text, RegexScratch&) const override {
    if (text.text.empty()) return {};
    TrackedWriter out(text);
    out.put(content_, 0);
    out.copy(0, text.text.size());
    text = out.take();
    return {};
  }

 private:
  std::string content_;
};

class NmtNormalizer final : public Normalizer {
 public:
  Result<void> apply(TrackedText& text, RegexScratch&) const override {
    rewrite(text, [](char32_t c, std::size_t begin, std::size_t end, TrackedWriter& out) {
      if (is_dropped(c)) return;
      if (is_space(c)) {
        out.put(" ", begin);
      } else {
        out.copy(begin, end);
      }
    });
    return {};
  }

 private:
  static bool is_dropped(char32_t c) {
    return (c >= 0x01 && c <= 0x08) || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F ||
           c == 0x8F || c == 0x9F;
  }
  static bool is_space(char32_t c) {
    return c == 0x09 || c == 0x0A || c == 0x0C || c == 0x0D || c == 0x1680 ||
           (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
           c == 0xFEFF || c == 0xFFFD;
  }
};

class ByteLevelNormalizer final : public Normalizer {
 public:
  Result<void> apply(TrackedText& text, RegexScratch&) const override {
    const std::string_view in = text.text;
    TrackedWriter out(text);
    for (std::size_t at = 0; at < in.size(); ++at) {
      out.put(byte_level::char_of(static_cast<unsigned char>(in[at])), at);
    }
    text = out.take();
    return {};
  }
  Growth growth() const override { return Growth::of_rewriting(2); }
};

class SequenceNormalizer final : public Normalizer {
 public:
  explicit SequenceNormalizer(std::vector<NormalizerPtr> steps) : steps_(std::move(steps)) {}

  Result<void> apply(TrackedText& text, RegexScratch& scratch) const override {
    for (const NormalizerPtr& step : steps_) OLLM_TRY_VOID(step->apply(text, scratch));
    return {};
  }
  std::size_t memory_bytes() const override {
    std::size_t bytes = 0;
    for (const NormalizerPtr& step : steps_) bytes += step->memory_bytes();
    return bytes;
  }

  Growth growth() const override {
    Growth all;
    for (const NormalizerPtr& step : steps_) all = all.then(step->growth(), false);
    return all;
  }

 private:
  std::vector<NormalizerPtr> steps_;
};

}  // namespace

NormalizerPtr make_unicode_normalizer(unicode::NormalizationForm form) {
  return std::make_unique<UnicodeNormalizer>(form);
}
NormalizerPtr make_lowercase_normalizer() { return std::make_unique<LowercaseNormalizer>(); }
NormalizerPtr make_strip_normalizer(bool left, bool right) {
  return std::make_unique<StripNormalizer>(left, right);
}
NormalizerPtr make_strip_accents_normalizer() { return std::make_unique<StripAccentsNormalizer>(); }
NormalizerPtr make_replace_normalizer(Pattern pattern, std::string content) {
  return std::make_unique<ReplaceNormalizer>(std::move(pattern), std::move(content));
}
NormalizerPtr make_prepend_normalizer(std::string content) {
  return std::make_unique<PrependNormalizer>(std::move(content));
}
NormalizerPtr make_nmt_normalizer() { return std::make_unique<NmtNormalizer>(); }
NormalizerPtr make_byte_level_normalizer() { return std::make_unique<ByteLevelNormalizer>(); }
NormalizerPtr make_sequence_normalizer(std::vector<NormalizerPtr> steps) {
  return std::make_unique<SequenceNormalizer>(std::move(steps));
}

}  // namespace ollm::text
