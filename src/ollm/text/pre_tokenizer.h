// Pre-tokenizers: how a normalized text is cut into words, which the model then takes one by one.
// Leaves reading them from tokenizer.json to tokenizer_json.cc, and words to ids to model.h.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/text/growth.h"
#include "ollm/text/pattern.h"
#include "ollm/text/word.h"

namespace ollm::text {

/// What becomes of a match of Split and Punctuation.
enum class SplitBehavior {
  removed,               // dropped
  isolated,              // a word of its own
  merged_with_previous,  // the end of the word before it
  merged_with_next,      // the start of the word behind it
  contiguous,            // one word together with matches right beside it
};

/// Where Metaspace puts its character in front: of the text as a whole, of each piece between added
/// tokens, or nowhere.
enum class PrependScheme { first, always, never };

/// One step that cuts or rewrites words; constant, any number of threads may apply it at once.
class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  /// Hands on what becomes of `word`. Errors: those of matching a pattern and of `next`.
  virtual Result<void> apply(const Word& word, RegexScratch& scratch, WordSink& next) const = 0;
  /// Whether it asks which word began the text (Metaspace with the scheme "first").
  virtual bool needs_origin() const { return false; }
  /// Whether its words are byte-level.
  virtual bool makes_bytes() const { return false; }
  /// The most bytes that it holds for each byte of the text, and that come out for each.
  virtual Growth growth() const { return {}; }
  virtual std::size_t memory_bytes() const { return 0; }
};

using PreTokenizerPtr = std::unique_ptr<const PreTokenizer>;

struct ByteLevelOptions {
  bool add_prefix_space = true;  // before each word that does not begin with one
  bool use_regex = true;         // cut by GPT-2's pattern first
};
PreTokenizerPtr make_byte_level_pre_tokenizer(const ByteLevelOptions& options);
PreTokenizerPtr make_split_pre_tokenizer(Pattern pattern, SplitBehavior behavior, bool invert);
PreTokenizerPtr make_metaspace_pre_tokenizer(std::string replacement, PrependScheme scheme,
                                             bool split);
PreTokenizerPtr make_digits_pre_tokenizer(bool individual_digits);
PreTokenizerPtr make_punctuation_pre_tokenizer(SplitBehavior behavior);
PreTokenizerPtr make_whitespace_pre_tokenizer();        // \w+|[^\w\s]+
PreTokenizerPtr make_whitespace_split_pre_tokenizer();  // \S+
PreTokenizerPtr make_bert_pre_tokenizer();
PreTokenizerPtr make_char_delimiter_pre_tokenizer(char32_t delimiter);
PreTokenizerPtr make_unicode_scripts_pre_tokenizer();
PreTokenizerPtr make_fixed_length_pre_tokenizer(std::size_t characters);
PreTokenizerPtr make_sequence_pre_tokenizer(std::vector<PreTokenizerPtr> steps);

}  // namespace ollm::text
