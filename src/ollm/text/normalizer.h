// Normalizers: what is done to a text before it is cut into words.
// Leaves reading them from tokenizer.json to tokenizer_json.cc, and cutting to pre_tokenizer.h.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/text/growth.h"
#include "ollm/text/pattern.h"
#include "ollm/text/tracked_text.h"
#include "ollm/text/unicode.h"

namespace ollm::text {

/// One step that changes a text; constant, any number of threads may apply it at once.
class Normalizer {
 public:
  virtual ~Normalizer() = default;
  /// Changes `text`, valid UTF-8 before and after. Errors: those of matching a pattern.
  virtual Result<void> apply(TrackedText& text, RegexScratch& scratch) const = 0;
  virtual std::size_t memory_bytes() const { return 0; }
  /// The most that it makes of a text, beside some bytes for all of it (Prepend).
  virtual Growth growth() const { return Growth::of_rewriting(1); }
};

using NormalizerPtr = std::unique_ptr<const Normalizer>;

/// BertNormalizer: the four steps of BERT's BasicTokenizer, in this order.
struct BertNormalizerOptions {
  bool clean_text = true;  // drop U+0000, U+FFFD and control characters, white space to ' '
  bool handle_chinese_chars = true;  // a space on both sides of each CJK ideograph
  bool strip_accents = false;        // NFD, then drop nonspacing marks
  bool lowercase = true;
};

NormalizerPtr make_unicode_normalizer(unicode::NormalizationForm form);
NormalizerPtr make_lowercase_normalizer();
NormalizerPtr make_strip_normalizer(bool left, bool right);
NormalizerPtr make_strip_accents_normalizer();  // drops all marks
NormalizerPtr make_replace_normalizer(Pattern pattern, std::string content);
NormalizerPtr make_prepend_normalizer(std::string content);  // not to an empty text
NormalizerPtr make_nmt_normalizer();                         // SentencePiece's "nmt" rules
NormalizerPtr make_byte_level_normalizer();
NormalizerPtr make_bert_normalizer(const BertNormalizerOptions& options);
NormalizerPtr make_sequence_normalizer(std::vector<NormalizerPtr> steps);

/// Precompiled: SentencePiece's character map, a double-array trie and the strings it leads to.
/// Errors: corrupt where `charsmap` is cut or its parts do not fit.
Result<NormalizerPtr> make_precompiled_normalizer(std::string_view charsmap);

}  // namespace ollm::text
