// The front of the tokenizer (tokenizer.h): checks at the border, decoding, and lookups.
// Leaves encoding to encoder.cc and what tokenizer_config.json adds to tokenizer_config.cc.
#include "ollm/text/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "ollm/text/byte_level.h"
#include "ollm/text/tokenizer_config.h"
#include "ollm/text/tokenizer_state.h"
#include "ollm/text/utf8.h"

namespace ollm::text {
namespace {

constexpr std::size_t kKeptScratchTextBytes = 1 << 20;  // a longer text's working memory is freed
constexpr std::size_t kMaxFreeScratches = 64;

Result<void> check_text(std::string_view text, const EncodeOptions& options) {
  if (text.size() > kMaxTextBytes) {
    return fail(ErrorKind::invalid_argument,
                fmt::format("a text of {} bytes; the limit is {}", text.size(), kMaxTextBytes));
  }
  if (const std::size_t valid = unicode::valid_utf8_prefix(text); valid < text.size()) {
    return fail(ErrorKind::invalid_argument,
                fmt::format("the text is not UTF-8: byte 0x{:02X} at offset {}",
                            static_cast<unsigned char>(text[valid]), valid));
  }
  std::size_t end = 0;
  for (const TextSpan& span : options.literal) {
    if (span.begin < end || span.end < span.begin || span.end > text.size()) {
      return fail(ErrorKind::invalid_argument,
                  fmt::format("literal span {} to {} is not behind {} and within {} bytes",
                              span.begin, span.end, end, text.size()));
    }
    end = span.end;
  }
  return {};
}

// Control tokens that stand in the vocabulary too, where a model might find them (Unigram does).
// One of a single character stays: there is no other way to write that character.
ClosedIds closed_ids(const AddedTokens& added, const Vocabulary& vocabulary) {
  ClosedIds closed;
  for (const AddedToken& token : added.all()) {
    const bool is_character =
        !token.content.empty() && unicode::utf8_length(token.content[0]) == token.content.size();
    if (!token.special || is_character || vocabulary.find(token.content) != token.id) continue;
    const auto index = static_cast<std::size_t>(token.id);
    if (index >= closed.size()) closed.resize(index + 1);
    closed[index] = true;
  }
  return closed;
}

}  // namespace

Tokenizer::State::State(TokenizerParts parts, AddedTokens added)
    : parts_(std::move(parts)),
      added_(std::move(added)),
      vocabulary_size_(std::max(parts_.model->vocabulary().size(), added_.size())),
      closed_(closed_ids(added_, parts_.model->vocabulary())),
      needs_origin_(parts_.pre_tokenizer && parts_.pre_tokenizer->needs_origin()) {}

std::unique_ptr<EncodeScratch> Tokenizer::State::take_scratch(bool closed) const {
  std::unique_ptr<EncodeScratch> scratch;
  {
    const std::lock_guard lock(mutex_);
    if (!free_.empty()) {
      scratch = std::move(free_.back());
      free_.pop_back();
    }
  }
  if (!scratch) scratch = std::make_unique<EncodeScratch>();
  closed = closed && !closed_.empty();
  auto& model = closed ? scratch->closed_model : scratch->open_model;
  if (!model) model = parts_.model->make_scratch(closed ? &closed_ : nullptr);
  scratch->model = model.get();
  return scratch;
}

void Tokenizer::State::give_back(std::unique_ptr<EncodeScratch> scratch) const {
  const std::lock_guard lock(mutex_);
  if (free_.size() < kMaxFreeScratches) free_.push_back(std::move(scratch));
}

std::optional<std::string_view> Tokenizer::State::decodable(TokenId id) const {
  if (const AddedToken* token = added_.find(id)) return added_.decoded(*token);
  return parts_.model->vocabulary().at(id);
}

Result<void> Tokenizer::State::check_id(TokenId id) const {
  if (id >= 0 && static_cast<std::size_t>(id) < vocabulary_size_) return {};
  return fail(ErrorKind::invalid_argument,
              fmt::format("token id {} is not below {}", id, vocabulary_size_));
}

bool Tokenizer::State::is_special(TokenId id) const {
  const AddedToken* token = added_.find(id);
  return token != nullptr && token->special;
}

bool Tokenizer::State::is_skipped(TokenId id) const {
  const AddedToken* token = added_.find(id);
  return token != nullptr && added_.is_skipped(*token);
}

Tokenizer::Tokenizer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

Result<Tokenizer> Tokenizer::make(const TokenizerFiles& files) {
  OLLM_TRY(TokenizerContent content, read_tokenizer_files(files));
  return Tokenizer(std::make_unique<State>(std::move(content.parts), std::move(content.added)));
}

Result<std::vector<TokenId>> Tokenizer::encode(std::string_view text,
                                               const EncodeOptions& options) const {
  OLLM_TRY_VOID(check_text(text, options));
  std::vector<TokenId> ids;
  // A text has hardly ever more ids than bytes, and growing would hold the ids twice: memory that
  // is reserved and not touched costs nothing.
  ids.reserve(text.size() + 8);
  std::unique_ptr<EncodeScratch> scratch =
      state_->take_scratch(!options.parse_special || !options.literal.empty());
  auto done = state_->encode(text, options, *scratch, ids);
  if (text.size() <= kKeptScratchTextBytes) state_->give_back(std::move(scratch));
  if (!done.ok()) return std::move(done).error().within("encode");
  return ids;
}

Result<std::string> Tokenizer::decode(std::span<const TokenId> ids, bool skip_special) const {
  const TokenizerParts& parts = state_->parts();
  std::span<const DecoderStep> steps = parts.decoder;
  // The most common decoder needs no list of all tokens, which takes more memory than the text.
  const bool as_bytes = !steps.empty() && steps[0].kind == DecoderKind::byte_level;
  std::string bytes;
  std::vector<std::string> tokens;
  if (!as_bytes) tokens.reserve(ids.size());
  for (const TokenId id : ids) {
    OLLM_TRY_VOID(state_->check_id(id));
    if (skip_special && state_->is_skipped(id)) continue;
    const auto token = state_->decodable(id);
    if (!token) continue;
    if (as_bytes) {
      byte_level::append_decoded(bytes, *token);
    } else {
      tokens.emplace_back(*token);
    }
  }
  if (as_bytes) {
    unicode::append_lossy(tokens.emplace_back(), bytes);
    steps = steps.subspan(1);
  }
  RegexScratch scratch;
  for (const DecoderStep& step : steps) {
    if (auto done = apply(step, tokens, scratch); !done.ok()) {
      return std::move(done).error().within("decode");
    }
  }
  if (tokens.size() == 1) return std::move(tokens[0]);
  std::string text;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0 && !parts.has_decoder) text += ' ';
    text += tokens[i];
  }
  return text;
}

Result<std::string> Tokenizer::token_bytes(TokenId id) const {
  OLLM_TRY_VOID(state_->check_id(id));
  const auto token = state_->decodable(id);
  if (!token) return std::string();
  const std::span<const DecoderStep> steps = state_->parts().decoder;
  std::string bytes;
  if (!steps.empty() && steps[0].kind == DecoderKind::byte_level) {
    byte_level::append_decoded(bytes, *token);
    return bytes;
  }
  const bool falls_back = std::any_of(steps.begin(), steps.end(), [](const DecoderStep& step) {
    return step.kind == DecoderKind::byte_fallback;
  });
  if (const int byte = falls_back ? fallback_byte(*token) : -1; byte >= 0)
    return std::string(1, static_cast<char>(byte));
  // What decoders do at the beginning of a text they do to the first of the two.
  const TokenId twice[] = {id, id};
  OLLM_TRY(std::string first, decode(std::span(twice, 1), false));
  OLLM_TRY(std::string both, decode(twice, false));
  return both.starts_with(first) ? both.substr(first.size()) : first;
}

std::size_t Tokenizer::vocabulary_size() const { return state_->vocabulary_size(); }

std::optional<TokenId> Tokenizer::id_of(std::string_view token) const {
  if (const AddedToken* added = state_->added().find(token)) return added->id;
  return state_->parts().model->vocabulary().find(token);
}

std::optional<std::string> Tokenizer::token_of(TokenId id) const {
  if (const AddedToken* added = state_->added().find(id)) return added->content;
  if (const auto token = state_->parts().model->vocabulary().at(id)) return std::string(*token);
  return std::nullopt;
}

bool Tokenizer::is_special(TokenId id) const { return state_->is_special(id); }

// Measured, resident: of a tokenizer.json up to 4 times its size is held for WordPiece, 2 for BPE,
// and 11 times is the peak of opening it, beside the file itself. Of a tokenizer.model, whose
// merges are found anew, no large one was measured: the factors are those of its parts, twice.
TokenizerMemory tokenizer_memory(std::uint64_t tokenizer_json_bytes,
                                 std::uint64_t sentencepiece_bytes) {
  constexpr std::uint64_t kRegexes = std::uint64_t{2} << 20;  // compiled patterns and their like
  if (tokenizer_json_bytes > 0)
    return {5 * tokenizer_json_bytes + kRegexes, 13 * tokenizer_json_bytes + kRegexes};
  if (sentencepiece_bytes == 0) return {};
  return {20 * sentencepiece_bytes + kRegexes, 60 * sentencepiece_bytes + kRegexes};
}

std::uint64_t Tokenizer::encode_bytes(std::uint64_t text_bytes) const {
  return state_->encode_bytes(text_bytes);
}

std::size_t Tokenizer::memory_bytes() const {
  const TokenizerParts& parts = state_->parts();
  std::size_t bytes = sizeof(State) + parts.model->memory_bytes() +
                      parts.model->vocabulary().memory_bytes() + state_->added().memory_bytes();
  if (parts.normalizer) bytes += parts.normalizer->memory_bytes();
  if (parts.pre_tokenizer) bytes += parts.pre_tokenizer->memory_bytes();
  return bytes;
}

}  // namespace ollm::text
