// From protobuf to the parts of a tokenizer (sentencepiece_model.h).
// Leaves the pairs that BPE merges to sentencepiece_merges.cc.
#include "ollm/text/sentencepiece_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "ollm/text/sentencepiece.pb.h"
#include "ollm/text/sentencepiece_merges.h"
#include "ollm/text/utf8.h"

namespace ollm::text {
namespace {

using sentencepiece::ModelProto;
using sentencepiece::NormalizerSpec;
using sentencepiece::TrainerSpec;
using Piece = sentencepiece::ModelProto::SentencePiece;

constexpr std::string_view kSpace = "\u2581";  // stands for a space in pieces

// Longest published piece: 48 bytes. The pairs that a piece can be cut into grow with its length.
constexpr std::size_t kMaxPieceBytes = 256;

// Gemma marks its turns as user-defined symbols; Transformers makes control tokens of the two.
constexpr std::string_view kTurnTokens[] = {"<start_of_turn>", "<end_of_turn>"};

// A line of tiktoken's format: base64, a space, a rank.
bool is_tiktoken(std::string_view bytes) {
  const std::string_view line = bytes.substr(0, bytes.find('\n'));
  const std::size_t space = line.find(' ');
  if (space == 0 || space == std::string_view::npos || space + 1 == line.size()) return false;
  const auto is_base64 = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/' || c == '=';
  };
  const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || c == '\r'; };
  const auto middle = line.begin() + static_cast<std::ptrdiff_t>(space);
  return std::all_of(line.begin(), middle, is_base64) &&
         std::all_of(middle + 1, line.end(), is_digit);
}

Result<void> check_kind(const ModelProto& model) {
  const auto type = model.trainer_spec().model_type();
  if (type != TrainerSpec::UNIGRAM && type != TrainerSpec::BPE) {
    return fail(ErrorKind::unsupported,
                fmt::format("a {} model; BPE and Unigram are built",
                            type == TrainerSpec::WORD ? "word" : "character"));
  }
  if (model.trainer_spec().treat_whitespace_as_suffix()) {
    return fail(ErrorKind::unsupported, "treat_whitespace_as_suffix is not built");
  }
  if (!model.normalizer_spec().escape_whitespaces()) {
    return fail(ErrorKind::unsupported, "escape_whitespaces = false is not built");
  }
  if (!model.denormalizer_spec().precompiled_charsmap().empty()) {
    return fail(ErrorKind::unsupported, "a denormalizer_spec with rules is not built");
  }
  return {};
}

Result<void> check_piece(const Piece& piece, TokenId id) {
  const std::string& text = piece.piece();
  if (text.empty()) return fail(ErrorKind::corrupt, fmt::format("piece {} is empty", id));
  if (unicode::valid_utf8_prefix(text) != text.size()) {
    return fail(ErrorKind::corrupt, fmt::format("piece {} is not UTF-8", id));
  }
  if (text.size() > kMaxPieceBytes) {
    return fail(ErrorKind::unsupported, fmt::format("piece {} has {} bytes; the limit is {}", id,
                                                    text.size(), kMaxPieceBytes));
  }
  if (!std::isfinite(piece.score())) {
    return fail(ErrorKind::corrupt, fmt::format("piece {} has the score {}", id, piece.score()));
  }
  return {};
}

// The vocabulary, and which piece is the unknown one.
Result<TokenId> read_pieces(const ModelProto& model, Vocabulary& vocabulary) {
  if (model.pieces().empty()) return fail(ErrorKind::corrupt, "no pieces");
  const auto count = static_cast<std::size_t>(model.pieces_size());
  vocabulary.reserve(count, count * 8);
  std::optional<TokenId> unknown;
  TokenId id = 0;
  for (const Piece& piece : model.pieces()) {
    OLLM_TRY_VOID(check_piece(piece, id));
    OLLM_TRY_VOID(vocabulary.add(piece.piece(), id));
    if (piece.type() == Piece::UNKNOWN) {
      if (unknown) {
        return fail(ErrorKind::corrupt,
                    fmt::format("pieces {} and {} are both the unknown one", *unknown, id));
      }
      unknown = id;
    }
    ++id;
  }
  if (!unknown) return fail(ErrorKind::corrupt, "no piece is the unknown one");
  if (!model.trainer_spec().byte_fallback()) return *unknown;
  for (unsigned byte = 0; byte < 256; ++byte) {
    if (const auto name = fmt::format("<0x{:02X}>", byte); !vocabulary.find(name)) {
      return fail(ErrorKind::corrupt, fmt::format("byte_fallback without the piece {}", name));
    }
  }
  return *unknown;
}

Result<ModelPtr> make_model(const ModelProto& model) {
  Vocabulary vocabulary;
  OLLM_TRY(const TokenId unknown, read_pieces(model, vocabulary));
  const bool byte_fallback = model.trainer_spec().byte_fallback();
  if (model.trainer_spec().model_type() == TrainerSpec::UNIGRAM) {
    UnigramOptions options;
    options.unk_id = unknown;
    options.byte_fallback = byte_fallback;
    for (const Piece& piece : model.pieces()) {
      options.scores.push_back(piece.score());
      // Control, byte and unused pieces are never found in a text.
      options.closed.push_back(piece.type() != Piece::NORMAL &&
                               piece.type() != Piece::USER_DEFINED);
    }
    return make_unigram_model(std::move(vocabulary), std::move(options));
  }
  std::vector<MergeSource> sources;
  TokenId id = 0;
  for (const Piece& piece : model.pieces()) {
    if (piece.type() == Piece::UNUSED) {
      return fail(ErrorKind::unsupported,
                  fmt::format("piece {} is unused, which is not built for BPE", id));
    }
    const bool mergeable = piece.type() == Piece::NORMAL || piece.type() == Piece::USER_DEFINED;
    sources.push_back({piece.score(), mergeable});
    ++id;
  }
  OLLM_TRY(std::vector<Merge> merges, sentencepiece_merges(vocabulary, sources));
  BpeOptions options;
  options.unk_token = model.pieces(unknown).piece();
  options.fuse_unk = true;
  options.byte_fallback = byte_fallback;
  return make_bpe_model(std::move(vocabulary), std::move(merges), options);
}

Pattern regex(std::string_view pattern) {
  auto compiled = Regex::make(pattern);
  return Pattern(std::move(compiled).value());
}

// Whether a text may be cut in front of each kSpace: no piece has one further inside, and each is a
// piece of its own, so that no unknown run reaches across.
bool cuts_at_spaces(const ModelProto& model) {
  bool has_space = false;
  for (const Piece& piece : model.pieces()) {
    if (piece.type() != Piece::NORMAL) continue;
    if (piece.piece().find(kSpace, 1) != std::string::npos) return false;
    has_space = has_space || piece.piece() == kSpace;
  }
  return has_space;
}

Result<void> add_steps(const ModelProto& model, const SentencePieceOptions& options,
                       TokenizerParts& parts) {
  const NormalizerSpec& spec = model.normalizer_spec();
  const bool prefix = options.add_prefix_space.value_or(spec.add_dummy_prefix());
  std::vector<NormalizerPtr> steps;
  if (!spec.precompiled_charsmap().empty()) {
    auto made = make_precompiled_normalizer(spec.precompiled_charsmap());
    if (!made.ok()) return std::move(made).error().within("precompiled_charsmap");
    steps.push_back(std::move(made).value());
  }
  if (spec.remove_extra_whitespaces()) {
    // In this order: to look for the end of the text from each space of a run takes the square.
    steps.push_back(make_replace_normalizer(regex(" {2,}"), " "));
    steps.push_back(make_replace_normalizer(regex("\\A | \\z"), ""));
  }
  if (prefix && options.legacy) steps.push_back(make_prepend_normalizer(std::string(kSpace)));
  const PrependScheme scheme =
      prefix && !options.legacy ? PrependScheme::first : PrependScheme::never;
  if (!steps.empty()) parts.normalizer = make_sequence_normalizer(std::move(steps));
  parts.pre_tokenizer =
      make_metaspace_pre_tokenizer(std::string(kSpace), scheme, cuts_at_spaces(model));

  const auto step = [&](DecoderKind kind, std::string_view content, std::size_t start) {
    DecoderStep made;
    made.kind = kind;
    made.content = content;
    made.start = start;
    parts.decoder.push_back(std::move(made));
  };
  parts.has_decoder = true;
  if (!model.trainer_spec().byte_fallback() &&
      model.trainer_spec().model_type() == TrainerSpec::UNIGRAM) {
    step(DecoderKind::metaspace, kSpace, prefix ? 1 : 0);
    return {};
  }
  step(DecoderKind::replace, " ", 0);
  parts.decoder.back().pattern = std::make_shared<const Pattern>(std::string(kSpace));
  step(DecoderKind::byte_fallback, "", 0);
  step(DecoderKind::fuse, "", 0);
  if (prefix) step(DecoderKind::strip, " ", 1);
  return {};
}

void add_tokens(const ModelProto& model, std::vector<AddedToken>& out) {
  TokenId id = 0;
  for (const Piece& piece : model.pieces()) {
    const bool is_turn = std::find(std::begin(kTurnTokens), std::end(kTurnTokens), piece.piece()) !=
                         std::end(kTurnTokens);
    const bool special = piece.type() == Piece::CONTROL || piece.type() == Piece::UNKNOWN ||
                         (piece.type() == Piece::USER_DEFINED && is_turn);
    if (special || piece.type() == Piece::USER_DEFINED) {
      out.push_back({.content = piece.piece(), .id = id, .normalized = false, .special = special});
    }
    ++id;
  }
}

Result<SentencePieceParts> read(std::string_view bytes, const SentencePieceOptions& options) {
  if (bytes.size() > kMaxSentencePieceBytes) {
    return fail(ErrorKind::unsupported,
                fmt::format("{} bytes; the limit is {}", bytes.size(), kMaxSentencePieceBytes));
  }
  if (is_tiktoken(bytes)) {
    return fail(ErrorKind::unsupported, "a tiktoken file, not a SentencePiece model");
  }
  ModelProto model;
  if (!model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return fail(ErrorKind::corrupt, "not a SentencePiece model: the protobuf is cut or broken");
  }
  OLLM_TRY_VOID(check_kind(model));
  SentencePieceParts out;
  out.is_bpe = model.trainer_spec().model_type() == TrainerSpec::BPE;
  out.bos_piece = model.trainer_spec().bos_piece();
  out.eos_piece = model.trainer_spec().eos_piece();
  OLLM_TRY(out.parts.model, make_model(model));
  OLLM_TRY_VOID(add_steps(model, options, out.parts));
  add_tokens(model, out.parts.added_tokens);
  return out;
}

}  // namespace

Result<SentencePieceParts> read_sentencepiece_model(std::string_view bytes,
                                                    const SentencePieceOptions& options) {
  auto read_parts = read(bytes, options);
  if (!read_parts.ok()) return std::move(read_parts).error().within("tokenizer.model");
  return read_parts;
}

}  // namespace ollm::text
