// BertNormalizer (normalizer.h). Source: BERT's tokenization.py, BasicTokenizer.
// Leaves splitting at white space and punctuation to BertPreTokenizer.
#include <utility>

#include "ollm/text/normalizer.h"
#include "ollm/text/utf8.h"

namespace ollm::text {
namespace {

// The blocks that BERT calls Chinese; Hangul, Hiragana and Katakana are words with spaces to it.
bool is_chinese(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
         (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

bool is_dropped(char32_t c) {
  if (c == '\t' || c == '\n' || c == '\r') return false;
  return c == 0 || c == 0xFFFD || unicode::is_other(c);
}

class BertNormalizer final : public Normalizer {
 public:
  explicit BertNormalizer(const BertNormalizerOptions& options)
      : options_(options),
        decompose_(make_unicode_normalizer(unicode::NormalizationForm::nfd)),
        lowercase_(make_lowercase_normalizer()) {}

  Result<void> apply(TrackedText& text, RegexScratch& scratch) const override {
    if (options_.clean_text || options_.handle_chinese_chars) clean(text);
    if (options_.strip_accents) {
      OLLM_TRY_VOID(decompose_->apply(text, scratch));
      rewrite(text, [](char32_t c, std::size_t begin, std::size_t end, TrackedWriter& out) {
        if (!unicode::is_nonspacing_mark(c)) out.copy(begin, end);
      });
    }
    if (options_.lowercase) return lowercase_->apply(text, scratch);
    return {};
  }

  // Two spaces beside each ideograph of three bytes; then as its other steps.
  Growth growth() const override {
    Growth all = Growth::of_rewriting(options_.handle_chinese_chars ? 5.0 / 3.0 : 1);
    if (options_.strip_accents) all = all.then(decompose_->growth(), false);
    if (options_.lowercase) all = all.then(lowercase_->growth(), false);
    return all;
  }

 private:
  void clean(TrackedText& text) const {
    rewrite(text, [this](char32_t c, std::size_t begin, std::size_t end, TrackedWriter& out) {
      if (options_.clean_text) {
        if (is_dropped(c)) return;
        if (unicode::is_white_space(c)) {
          out.put(" ", begin);
          return;
        }
      }
      const bool spaced = options_.handle_chinese_chars && is_chinese(c);
      if (spaced) out.put(" ", begin);
      out.copy(begin, end);
      if (spaced) out.put(" ", begin);
    });
  }

  BertNormalizerOptions options_;
  NormalizerPtr decompose_;
  NormalizerPtr lowercase_;
};

}  // namespace

NormalizerPtr make_bert_normalizer(const BertNormalizerOptions& options) {
  return std::make_unique<BertNormalizer>(options);
}

}  // namespace ollm::text
