// Text to ids (tokenizer.h): added tokens, normalizer, pre-tokenizer, model, post-processor, in
// this order. Leaves each of the steps to its own file.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "ollm/text/tokenizer_state.h"

namespace ollm::text {
namespace {

// A normalizer may lengthen a text, a composed Arabic ligature elevenfold, but of a long one no
// language makes more than four times its size; what did would break a plan for its memory.
constexpr std::size_t kMaxGrowth = 4;
constexpr std::size_t kMaxGrowthBytes = 4 << 20;  // beside that, so that short ones are free

std::size_t normalized_limit(std::size_t text_bytes) {
  return kMaxGrowth * text_bytes + kMaxGrowthBytes;
}

bool touches(std::span<const TextSpan> spans, TextSpan span) {
  // The first span that ends behind the start of ours is the only one that can touch it first.
  const auto found = std::partition_point(spans.begin(), spans.end(), [&](const TextSpan& literal) {
    return literal.end <= span.begin;
  });
  return found != spans.end() && found->begin < span.end;
}

// Where words become ids.
class ModelSink final : public WordSink {
 public:
  ModelSink(const Model& model, ModelScratch& scratch, std::vector<TokenId>& out)
      : model_(model), scratch_(scratch), out_(out) {}

  Result<void> take(const Word& word) override {
    if (word.text.empty()) return {};
    return word.byte_level ? model_.tokenize_bytes(word.text, scratch_, out_)
                           : model_.tokenize(word.text, scratch_, out_);
  }

 private:
  const Model& model_;
  ModelScratch& scratch_;
  std::vector<TokenId>& out_;
};

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
  const std::size_t begin = out.size();
  OLLM_TRY_VOID(added_.split(text, allowed, [&](const Stretch& stretch) -> Result<void> {
    if (stretch.id < 0) return encode_text(text, stretch.span, options, scratch, out);
    out.push_back(stretch.id);
    return {};
  }));
  // The text stands as often as the template has it, with special tokens or without.
  const std::size_t end = out.size();
  for (const std::vector<TokenId>& between : parts_.post_processor.again) {
    if (options.add_special) out.insert(out.end(), between.begin(), between.end());
    for (std::size_t i = begin; i < end; ++i) out.push_back(out[i]);
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
  normalized.limit_bytes = normalized_limit(piece.size());
  normalized.first_bytes = span.begin == 0 ? 1 : 0;
  normalized.tracked = special_depends;
  if (normalized.tracked) {
    normalized.origin.resize(piece.size());
    std::iota(normalized.origin.begin(), normalized.origin.end(),
              static_cast<std::uint32_t>(span.begin));
  }
  if (parts_.normalizer) OLLM_TRY_VOID(parts_.normalizer->apply(normalized, scratch.regex));
  if (normalized.is_over_limit()) {
    return fail(ErrorKind::unsupported,
                fmt::format("normalizer: makes more than {} bytes of a text of {}",
                            normalized.limit_bytes, piece.size()));
  }

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
  return added_.split_normalized(
      normalized.text, allowed, [&](const Stretch& stretch) -> Result<void> {
        if (stretch.id >= 0) {
          out.push_back(stretch.id);
          return {};
        }
        const TextSpan& at = stretch.span;
        const std::size_t first = std::clamp(normalized.first_bytes, at.begin, at.end) - at.begin;
        return encode_normalized(
            std::string_view(normalized.text).substr(at.begin, at.end - at.begin), first, scratch,
            out);
      });
}

Result<void> Tokenizer::State::encode_normalized(std::string_view text, std::size_t first_bytes,
                                                 EncodeScratch& scratch,
                                                 std::vector<TokenId>& out) const {
  if (!parts_.pre_tokenizer) {
    if (text.empty()) return {};
    return parts_.model->tokenize(text, *scratch.model, out);
  }
  ModelSink sink(*parts_.model, *scratch.model, out);
  return parts_.pre_tokenizer->apply({text, first_bytes}, scratch.regex, sink);
}

std::uint64_t Tokenizer::State::encode_bytes(std::uint64_t text_bytes) const {
  // What does not grow with the text: two caches of words, and the stack of a pattern.
  constexpr std::uint64_t kFixed = 2 * (std::uint64_t{5} << 18) + (std::uint64_t{2} << 20);
  Growth normalizing{1, 0};
  double extra = 0;
  if (parts_.normalizer || added_.has_normalized()) {
    const Growth of = parts_.normalizer ? parts_.normalizer->growth() : Growth{};
    // The copy that is changed, and what it is changed to. More than kMaxGrowth is an error for all
    // but kMaxGrowthBytes, of which a text that grows by no more than `out` makes use in part.
    const double out = std::min<double>(of.out, kMaxGrowth);
    const double most = Growth::of_rewriting(kMaxGrowth).peak + kMaxGrowth;
    normalizing = {out, 1 + std::min(of.peak, most)};
    extra = std::min((of.out - out) * static_cast<double>(text_bytes), 1.0 * kMaxGrowthBytes);
  }
  // Afterwards what came out is held, while its words are made and turned into ids.
  const double held = normalizing.peak > 0 ? 1 : 0;
  const Growth words = parts_.pre_tokenizer ? parts_.pre_tokenizer->growth() : Growth{};
  const bool byte_level = parts_.pre_tokenizer && parts_.pre_tokenizer->makes_bytes();
  const double encoding =
      held + words.peak + words.out * parts_.model->bytes_per_text_byte(byte_level);
  double per_byte = std::max(normalizing.peak, normalizing.out * encoding);
  extra *= 2 + encoding;
  if (added_.has_normalized_special()) per_byte += 8 * normalizing.out;
  return kFixed + parts_.model->scratch_bytes() +
         static_cast<std::uint64_t>(per_byte * static_cast<double>(text_bytes) + extra);
}

}  // namespace ollm::text
