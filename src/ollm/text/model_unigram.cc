// Unigram (model.h): the best segmentation, found from left to right over the borders of
// characters. Leaves the search for tokens that begin at a place to byte_trie.h.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "ollm/text/byte_trie.h"
#include "ollm/text/model.h"
#include "ollm/text/utf8.h"
#include "ollm/text/word_cache.h"

namespace ollm::text {
namespace {

// SentencePiece's kUnkPenalty: an unknown character scores this much below the worst token.
constexpr double kUnknownPenalty = 10.0;

// The best way to a border between characters.
struct Arrival {
  double score = 0;
  std::uint32_t from = 0;
  TokenId id = -1;  // -1: none yet
};

class UnigramScratch final : public ModelScratch {
 public:
  using ModelScratch::ModelScratch;
  WordCache cache;
  std::vector<Arrival> best;
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

  const Vocabulary& vocabulary() const override { return vocabulary_; }
  std::size_t memory_bytes() const override {
    return sizeof(*this) + trie_.memory_bytes() + options_.scores.capacity() * sizeof(double);
  }

 private:
  Result<void> find_best(std::string_view word, UnigramScratch& scratch) const {
    std::vector<Arrival>& best = scratch.best;
    best.assign(word.size() + 1, Arrival());
    for (std::size_t at = 0; at < word.size();) {
      const double here = best[at].score;
      const std::size_t character = unicode::utf8_length(word[at]);
      bool has_single = false;
      // Of equals the one found first stays: the one that began earlier.
      const auto arrive = [&](std::size_t length, double score, TokenId id) {
        Arrival& target = best[at + length];
        const double total = score + here;
        if (target.id < 0 || total > target.score) {
          target = {total, static_cast<std::uint32_t>(at), id};
        }
      };
      trie_.match(word, at, [&](std::int32_t id, std::size_t length) {
        if (scratch.is_closed(id)) return;
        arrive(length, options_.scores[static_cast<std::size_t>(id)], id);
        has_single = has_single || length == character;
      });
      if (!has_single) {
        const Arrival& target = best[at + character];
        if (!options_.unk_id) {
          if (target.id < 0 || unknown_score_ + here > target.score) {
            return fail(ErrorKind::unsupported,
                        fmt::format("a character of '{}' is not in the vocabulary, and there is "
                                    "no unk_id",
                                    word.substr(at, character)));
          }
        } else {
          arrive(character, unknown_score_, *options_.unk_id);
        }
      }
      at += character;
    }
    return {};
  }

  // Turns the links of the best path around, then follows them. Neighbouring unknown characters are
  // one piece, which counts as the token that it spells, if there is one.
  void append_best(std::string_view word, UnigramScratch& scratch,
                   std::vector<TokenId>& out) const {
    std::vector<Arrival>& best = scratch.best;
    auto next = static_cast<std::uint32_t>(word.size());
    for (std::uint32_t at = next; at > 0;) {
      const std::uint32_t from = best[at].from;
      best[at].from = next;
      next = at;
      at = from;
    }
    std::size_t begin = 0;
    for (std::uint32_t end = next;; end = best[end].from) {
      const bool unknown = options_.unk_id && best[end].id == *options_.unk_id;
      const bool last = end == word.size();
      const bool joins = unknown && !last && best[best[end].from].id == *options_.unk_id;
      if (!joins) {
        if (unknown) {
          append_unknown(word.substr(begin, end - begin), scratch, out);
        } else {
          out.push_back(best[end].id);
        }
        begin = end;
      }
      if (last) return;
    }
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
  double unknown_score_ = 0;
  std::array<TokenId, 256> fallback_ids_;
};

}  // namespace

ModelPtr make_unigram_model(Vocabulary vocabulary, UnigramOptions options) {
  return std::make_unique<UnigramModel>(std::move(vocabulary), std::move(options));
}

}  // namespace ollm::text
