// Reading normalizers and pre-tokenizers (tokenizer_blocks.h).
// Leaves post-processors, decoders and added tokens to tokenizer_blocks.cc.
#include <fmt/format.h>

#include <utility>

#include "ollm/text/base64.h"
#include "ollm/text/tokenizer_blocks.h"
#include "ollm/text/utf8.h"

namespace ollm::text {
namespace {

// What is put into a text for each match of a pattern, which bounds how much a text can grow.
constexpr std::size_t kMaxContentBytes = 1024;

Result<std::string> content(const Fields& fields, std::string_view name) {
  OLLM_TRY(std::string value, fields.string(name));
  if (value.size() > kMaxContentBytes) {
    return fail(ErrorKind::unsupported,
                fmt::format("{}: {} of {} bytes; the limit is {}", fields.where(), name,
                            value.size(), kMaxContentBytes));
  }
  return value;
}

Result<NormalizerPtr> bert_normalizer(const Fields& fields) {
  BertNormalizerOptions options;
  OLLM_TRY(options.clean_text, fields.boolean("clean_text", true));
  OLLM_TRY(options.handle_chinese_chars, fields.boolean("handle_chinese_chars", true));
  OLLM_TRY(options.lowercase, fields.boolean("lowercase", true));
  OLLM_TRY(options.strip_accents, fields.boolean("strip_accents", options.lowercase));
  return make_bert_normalizer(options);
}

Result<NormalizerPtr> normalizer(const Json& block) {
  const Fields fields(block, "normalizer");
  OLLM_TRY(const std::string type, fields.string("type"));
  if (type == "NFC") return make_unicode_normalizer(unicode::NormalizationForm::nfc);
  if (type == "NFD") return make_unicode_normalizer(unicode::NormalizationForm::nfd);
  if (type == "NFKC") return make_unicode_normalizer(unicode::NormalizationForm::nfkc);
  if (type == "NFKD") return make_unicode_normalizer(unicode::NormalizationForm::nfkd);
  if (type == "Lowercase") return make_lowercase_normalizer();
  if (type == "StripAccents") return make_strip_accents_normalizer();
  if (type == "Nmt") return make_nmt_normalizer();
  if (type == "ByteLevel") return make_byte_level_normalizer();
  if (type == "BertNormalizer") return bert_normalizer(fields);
  if (type == "Strip") {
    OLLM_TRY(const bool left, fields.boolean("strip_left"));
    OLLM_TRY(const bool right, fields.boolean("strip_right"));
    return make_strip_normalizer(left, right);
  }
  if (type == "Prepend") {
    OLLM_TRY(std::string prepend, content(fields, "prepend"));
    return make_prepend_normalizer(std::move(prepend));
  }
  if (type == "Replace") {
    OLLM_TRY(Pattern pattern, read_pattern(fields));
    OLLM_TRY(std::string with, content(fields, "content"));
    return make_replace_normalizer(std::move(pattern), std::move(with));
  }
  if (type == "Precompiled") {
    OLLM_TRY(const std::string encoded, fields.string("precompiled_charsmap"));
    auto charsmap = decode_base64(encoded);
    if (!charsmap.ok()) {
      return std::move(charsmap).error().within("normalizer: precompiled_charsmap");
    }
    auto made = make_precompiled_normalizer(*charsmap);
    if (!made.ok()) return std::move(made).error().within("normalizer: precompiled_charsmap");
    return made;
  }
  if (type == "Sequence") {
    OLLM_TRY(const Json* blocks, fields.array("normalizers"));
    std::vector<NormalizerPtr> steps;
    for (const Json& step : *blocks) {
      OLLM_TRY(NormalizerPtr made, normalizer(step));
      steps.push_back(std::move(made));
    }
    return make_sequence_normalizer(std::move(steps));
  }
  return not_built(fields, type);
}

Result<SplitBehavior> behavior(const Fields& fields, std::optional<std::string> fallback) {
  OLLM_TRY(const std::string name, fields.string("behavior", std::move(fallback)));
  if (name == "Removed") return SplitBehavior::removed;
  if (name == "Isolated") return SplitBehavior::isolated;
  if (name == "MergedWithPrevious") return SplitBehavior::merged_with_previous;
  if (name == "MergedWithNext") return SplitBehavior::merged_with_next;
  if (name == "Contiguous") return SplitBehavior::contiguous;
  return fields.wrong("behavior", "one of the five");
}

Result<PreTokenizerPtr> metaspace(const Fields& fields) {
  OLLM_TRY(std::string replacement, read_character(fields, "replacement"));
  // Files from before the schemes had names have add_prefix_space only.
  OLLM_TRY(const bool add_prefix_space, fields.boolean("add_prefix_space", true));
  OLLM_TRY(const std::string name,
           fields.string("prepend_scheme", add_prefix_space ? "always" : "never"));
  OLLM_TRY(const bool split, fields.boolean("split", true));
  PrependScheme scheme = PrependScheme::always;
  if (name == "first") {
    scheme = PrependScheme::first;
  } else if (name == "never") {
    scheme = PrependScheme::never;
  } else if (name != "always") {
    return fields.wrong("prepend_scheme", "first, always or never");
  }
  return make_metaspace_pre_tokenizer(std::move(replacement), scheme, split);
}

Result<PreTokenizerPtr> pre_tokenizer(const Json& block) {
  const Fields fields(block, "pre_tokenizer");
  OLLM_TRY(const std::string type, fields.string("type"));
  if (type == "ByteLevel") {
    ByteLevelOptions options;
    OLLM_TRY(options.add_prefix_space, fields.boolean("add_prefix_space"));
    OLLM_TRY(options.use_regex, fields.boolean("use_regex", true));
    return make_byte_level_pre_tokenizer(options);
  }
  if (type == "Split") {
    OLLM_TRY(Pattern pattern, read_pattern(fields));
    OLLM_TRY(const SplitBehavior how, behavior(fields, std::nullopt));
    OLLM_TRY(const bool invert, fields.boolean("invert"));
    return make_split_pre_tokenizer(std::move(pattern), how, invert);
  }
  if (type == "Metaspace") return metaspace(fields);
  if (type == "Digits") {
    OLLM_TRY(const bool individual_digits, fields.boolean("individual_digits"));
    return make_digits_pre_tokenizer(individual_digits);
  }
  if (type == "Punctuation") {
    OLLM_TRY(const SplitBehavior how, behavior(fields, "Isolated"));
    return make_punctuation_pre_tokenizer(how);
  }
  if (type == "Whitespace") return make_whitespace_pre_tokenizer();
  if (type == "WhitespaceSplit") return make_whitespace_split_pre_tokenizer();
  if (type == "BertPreTokenizer") return make_bert_pre_tokenizer();
  if (type == "UnicodeScripts") return make_unicode_scripts_pre_tokenizer();
  if (type == "CharDelimiterSplit") {
    OLLM_TRY(const std::string delimiter, read_character(fields, "delimiter"));
    std::size_t at = 0;
    return make_char_delimiter_pre_tokenizer(unicode::next_code_point(delimiter, at));
  }
  if (type == "FixedLength") {
    OLLM_TRY(const std::int64_t length, fields.integer("length", 5));
    if (length < 1) return fields.wrong("length", "at least 1");
    return make_fixed_length_pre_tokenizer(static_cast<std::size_t>(length));
  }
  if (type == "Sequence") {
    OLLM_TRY(const Json* blocks, fields.array("pretokenizers"));
    std::vector<PreTokenizerPtr> steps;
    for (const Json& step : *blocks) {
      OLLM_TRY(PreTokenizerPtr made, pre_tokenizer(step));
      steps.push_back(std::move(made));
    }
    return make_sequence_pre_tokenizer(std::move(steps));
  }
  return not_built(fields, type);
}

}  // namespace

Result<NormalizerPtr> read_normalizer(const Json& block) {
  if (block.is_null()) return NormalizerPtr();
  return normalizer(block);
}

Result<PreTokenizerPtr> read_pre_tokenizer(const Json& block) {
  if (block.is_null()) return PreTokenizerPtr();
  return pre_tokenizer(block);
}

}  // namespace ollm::text
