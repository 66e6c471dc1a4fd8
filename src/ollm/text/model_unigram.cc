// Unigram (model.h): the best segmentation, found from left to right over the borders of
// characters. Leaves the search for tokens that begin at a place to byte_trie.h.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <utility>

#include "ollm/text/byte_trie.h"
#include "ollm/text/model.h"
#include "ollm/text/utf8.h"
#include "ollm/text/word_cache.h"

namespace ollm::text {
namespace {

// SentencePiece's kUnkPenalty: an unknown character scores this much below the worst token.
constexpr double kUnknownPenalty = 10.0;

// How a border between characters is reached at best: by the token that ends there. Its length says
// where it began, but for a character that no token is, which is marked.
constexpr TokenId kNotReached = -1;
constexpr TokenId kUnknownCharacter = TokenId{1} << 30;  // above every id

class UnigramScratch final : public ModelScratch {
 public:
  using ModelScratch::ModelScratch;
  WordCache cache;
  std::vector<TokenId> best;   // by border
  std::vector<double> scores;  // of the borders that a token may still reach: a ring
};

class UnigramModel final : public Model {
 public:
  UnigramModel(Vocabulary vocabulary, UnigramOptions options)
      : vocabulary_(std::move(vocabulary)), options_(std::move(options)) {
    std::vector<std::pair<std::string_view, std::int32_t>> strings;
    strings.reserve(options_.scores.size());
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < options_.scores.size(); ++i) {
      const auto id = static_cast<TokenId>(i);
      if (is_closed(id)) continue;
      const std::string_view token = *vocabulary_.at(id);
      if (vocabulary_.find(token) == id) strings.emplace_back(token, id);
      least = std::min(least, options_.scores[i]);
    }
    unknown_score_ = least - kUnknownPenalty;
    std::size_t longest = 4;  // a character, where it is no token
    for (const auto& [token, id] : strings) longest = std::max(longest, token.size());
    ring_size_ = std::bit_ceil(longest + 1);
    trie_ = ByteTrie(std::move(strings));
    for (unsigned byte = 0; byte < 256; ++byte) {
      fallback_ids_[byte] = vocabulary_.find(fmt::format("<0x{:02X}>", byte)).value_or(-1);
    }
  }

  std::unique_ptr<ModelScratch> make_scratch(const ClosedIds* closed) const override {
    return std::make_unique<UnigramScratch>(closed);
  }

  Result<void> tokenize(std::string_view word, ModelScratch& scratch_base,
                        std::vector<TokenId>& out) const override {
    auto& scratch = static_cast<UnigramScratch&>(scratch_base);
    const bool cached = word.size() <= WordCache::kMaxBytes;
    if (cached && scratch.cache.find(word, out)) return {};
    const std::size_t before = out.size();
    OLLM_TRY_VOID(find_best(word, scratch));
    append_best(word, scratch, out);
    if (cached) scratch.cache.put(word, std::span(out).subspan(before));
    return {};
  }

  double bytes_per_text_byte(bool) const override { return sizeof(TokenId); }
  std::uint64_t scratch_bytes() const override { return ring_size_ * sizeof(double); }
  const Vocabulary& vocabulary() const override { return vocabulary_; }
  std::size_t memory_bytes() const override {
    return sizeof(*this) + trie_.memory_bytes() + options_.scores.capacity() * sizeof(double);
  }

 private:
  Result<void> find_best(std::string_view word, UnigramScratch& scratch) const {
    std::vector<TokenId>& best = scratch.best;
    best.assign(word.size() + 1, kNotReached);
    const std::size_t mask = ring_size_ - 1;
    scratch.scores.resize(ring_size_);
    double* const scores = scratch.scores.data();
    scores[0] = 0;
    for (std::size_t at = 0; at < word.size();) {
      const double here = scores[at & mask];
      const std::size_t character = unicode::utf8_length(word[at]);
      bool has_single = false;
      // Of equals the one found first stays: the one that began earlier.
      const auto arrive = [&](std::size_t length, double score, TokenId id) {
        TokenId& target = best[at + length];
        double& target_score = scores[(at + length) & mask];
        const double total = score + here;
        if (target == kNotReached || total > target_score) {
          target = id;
          target_score = total;
        }
      };
      trie_.match(word, at, [&](std::int32_t id, std::size_t length) {
        if (scratch.is_closed(id)) return;
        arrive(length, options_.scores[static_cast<std::size_t>(id)], id);
        has_single = has_single || length == character;
      });
      if (!has_single) {
        const std::size_t end = at + character;
        if (!options_.unk_id) {
          if (best[end] == kNotReached || unknown_score_ + here > scores[end & mask]) {
            return fail(ErrorKind::unsupported,
                        fmt::format("a character of '{}' is not in the vocabulary, and there is "
                                    "no unk_id",
                                    word.substr(at, character)));
          }
        } else {
          arrive(character, unknown_score_, *options_.unk_id | kUnknownCharacter);
        }
      }
      at += character;
    }
    return {};
  }

  // Follows the best path from the end, and turns its ids around. Neighbouring unknown characters
  // are one piece, which counts as the token that it spells, if there is one.
  void append_best(std::string_view word, UnigramScratch& scratch,
                   std::vector<TokenId>& out) const {
    const std::vector<TokenId>& best = scratch.best;
    const auto begin_of = [&](std::size_t end) {
      const TokenId id = best[end];
      if ((id & kUnknownCharacter) == 0) return end - vocabulary_.at(id)->size();
      unicode::previous_code_point(word, end);
      return end;
    };
    const auto is_unknown = [&](std::size_t end) {
      return options_.unk_id && (best[end] & ~kUnknownCharacter) == *options_.unk_id;
    };
    const auto offset = [&](std::size_t size) {
      return out.begin() + static_cast<std::ptrdiff_t>(size);
    };
    const std::size_t before = out.size();
    for (std::size_t end = word.size(); end > 0;) {
      std::size_t begin = begin_of(end);
      if (is_unknown(end)) {
        while (begin > 0 && is_unknown(begin)) begin = begin_of(begin);
        const std::size_t from = out.size();
        append_unknown(word.substr(begin, end - begin), scratch, out);
        std::reverse(offset(from), out.end());
      } else {
        out.push_back(best[end]);
      }
      end = begin;
    }
    std::reverse(offset(before), out.end());
  }

  void append_unknown(std::string_view piece, const UnigramScratch& scratch,
                      std::vector<TokenId>& out) const {
    if (const auto id = vocabulary_.find(piece); id && !scratch.is_closed(*id) && !is_closed(*id)) {
      out.push_back(*id);
      return;
    }
    const auto known = [&](char byte) {
      return fallback_ids_[static_cast<unsigned char>(byte)] >= 0;
    };
    if (options_.byte_fallback && std::all_of(piece.begin(), piece.end(), known)) {
      for (const char byte : piece) out.push_back(fallback_ids_[static_cast<unsigned char>(byte)]);
      return;
    }
    out.push_back(*options_.unk_id);
  }

  bool is_closed(TokenId id) const {
    const auto index = static_cast<std::size_t>(id);
    return index < options_.closed.size() && options_.closed[index];
  }

  Vocabulary vocabulary_;
  UnigramOptions options_;
  ByteTrie trie_;
  std::size_t ring_size_ = 0;  // a power of two, above the longest token
  double unknown_score_ = 0;
  std::array<TokenId, 256> fallback_ids_;
};

}  // namespace

ModelPtr make_unigram_model(Vocabulary vocabulary, UnigramOptions options) {
  return std::make_unique<UnigramModel>(std::move(vocabulary), std::move(options));
}

}  // namespace ollm::text
