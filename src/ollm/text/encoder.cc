// Text to ids (tokenizer.h): added tokens, normalizer, pre-tokenizer, model, post-processor, in
// this order. Leaves each of the steps to its own file.
#include <algorithm>
#include <numeric>

#include "ollm/text/tokenizer_state.h"

namespace ollm::text {
namespace {

// A normalizer may lengthen a text, a composed Arabic ligature eighteenfold, but not without end.
constexpr std::size_t kMaxGrowth = 64;

bool touches(std::span<const TextSpan> spans, TextSpan span) {
  // The first span that ends behind the start of ours is the only one that can touch it first.
  const auto found = std::partition_point(spans.begin(), spans.end(), [&](const TextSpan& literal) {
    return literal.end <= span.begin;
  });
  return found != spans.end() && found->begin < span.end;
}

}  // namespace

Result<void> Tokenizer::State::encode(std::string_view text, const EncodeOptions& options,
                                      EncodeScratch& scratch, std::vector<TokenId>& out) const {
  if (options.add_special) {
    const auto& before = parts_.post_processor.before;
    out.insert(out.end(), before.begin(), before.end());
  }
  AddedTokens::Allowed allowed;
  if (!options.parse_special) {
    allowed = [](TextSpan) { return false; };
  } else if (!options.literal.empty()) {
    allowed = [&options](TextSpan span) { return !touches(options.literal, span); };
  }
  scratch.stretches.clear();
  added_.split(text, allowed, scratch.stretches);
  for (const Stretch& stretch : scratch.stretches) {
    if (stretch.id >= 0) {
      out.push_back(stretch.id);
    } else {
      OLLM_TRY_VOID(encode_text(text, stretch.span, options, scratch, out));
    }
  }
  if (options.add_special) {
    const auto& after = parts_.post_processor.after;
    out.insert(out.end(), after.begin(), after.end());
  }
  return {};
}

Result<void> Tokenizer::State::encode_text(std::string_view text, const TextSpan& span,
                                           const EncodeOptions& options, EncodeScratch& scratch,
                                           std::vector<TokenId>& out) const {
  const std::string_view piece = text.substr(span.begin, span.end - span.begin);
  if (!parts_.normalizer && !added_.has_normalized()) {
    return encode_normalized(piece, span.begin == 0 ? 1 : 0, scratch, out);
  }
  const bool special_depends =
      options.parse_special && !options.literal.empty() && added_.has_normalized_special();
  TrackedText normalized;
  normalized.text = piece;
  normalized.limit_bytes = kMaxGrowth * piece.size() + (1 << 20);
  normalized.tracked = special_depends || (needs_origin_ && span.begin == 0);
  if (normalized.tracked) {
    normalized.origin.resize(piece.size());
    std::iota(normalized.origin.begin(), normalized.origin.end(),
              static_cast<std::uint32_t>(span.begin));
  }
  if (parts_.normalizer) OLLM_TRY_VOID(parts_.normalizer->apply(normalized, scratch.regex));

  AddedTokens::Allowed allowed;
  if (!options.parse_special) {
    allowed = [](TextSpan) { return false; };
  } else if (special_depends) {
    allowed = [&](TextSpan found) {
      const std::size_t end =
          found.end < normalized.origin.size() ? normalized.origin[found.end] : span.end;
      const std::size_t begin = normalized.origin[found.begin];
      return !touches(options.literal, {begin, std::max(end, begin + 1)});
    };
  }
  scratch.inner_stretches.clear();
  added_.split_normalized(normalized.text, allowed, scratch.inner_stretches);
  for (const Stretch& stretch : scratch.inner_stretches) {
    if (stretch.id >= 0) {
      out.push_back(stretch.id);
      continue;
    }
    std::size_t first_bytes = 0;
    if (needs_origin_ && span.begin == 0) {
      const auto& origin = normalized.origin;
      const auto from = origin.begin() + static_cast<std::ptrdiff_t>(stretch.span.begin);
      const auto to = origin.begin() + static_cast<std::ptrdiff_t>(stretch.span.end);
      first_bytes = static_cast<std::size_t>(std::upper_bound(from, to, 0u) - from);
    }
    OLLM_TRY_VOID(
        encode_normalized(std::string_view(normalized.text)
                              .substr(stretch.span.begin, stretch.span.end - stretch.span.begin),
                          first_bytes, scratch, out));
  }
  return {};
}

Result<void> Tokenizer::State::encode_normalized(std::string_view text, std::size_t first_bytes,
                                                 EncodeScratch& scratch,
                                                 std::vector<TokenId>& out) const {
  if (!parts_.pre_tokenizer) {
    if (text.empty()) return {};
    return parts_.model->tokenize(text, *scratch.model, out);
  }
  PreTokenizedText& words = scratch.words;
  words.reset(text, first_bytes);
  OLLM_TRY_VOID(parts_.pre_tokenizer->apply(words, scratch.regex));
  for (const PreTokenizedText::Word& word : words.words()) {
    if (word.begin == word.end) continue;
    if (words.byte_level()) {
      OLLM_TRY_VOID(parts_.model->tokenize_bytes(words.view(word), *scratch.model, out));
    } else {
      OLLM_TRY_VOID(parts_.model->tokenize(words.view(word), *scratch.model, out));
    }
  }
  return {};
}

}  // namespace ollm::text
