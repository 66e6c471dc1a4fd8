// Byte pair encoding (model.h): characters to ids, then the merge of lowest rank, leftmost first.
// Leaves the table of merges to merge_table.h and words seen before to word_cache.h.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <limits>

#include "ollm/text/byte_level.h"
#include "ollm/text/merge_table.h"
#include "ollm/text/model.h"
#include "ollm/text/utf8.h"
#include "ollm/text/word_cache.h"

namespace ollm::text {
namespace {

// Up to this many symbols the lowest rank is looked for again after each merge, which beats a
// queue.
constexpr std::size_t kShortWord = 48;

// Above this many symbols a word is merged window by window.
constexpr std::size_t kWindow = 1 << 14;

// So many borders between windows are tried before a word is given up: with published vocabularies
// the first does.
constexpr int kTries = 16;

// A token of a window, and the byte of the word that it begins at.
struct Placed {
  TokenId id;
  std::uint32_t begin;
};

class BpeScratch final : public ModelScratch {
 public:
  BpeScratch(const MergeTable& all_merges, const ClosedIds* closed)
      : ModelScratch(closed), merges_(&all_merges) {
    if (closed == nullptr) return;
    const auto is_open = [this](const MergeTable::Slot& slot) { return !is_closed(slot.result); };
    if (all_merges.all_of(is_open)) return;
    open_merges_.emplace(all_merges.copy_if(is_open));
    merges_ = &*open_merges_;
  }
  BpeScratch(const BpeScratch&) = delete;
  BpeScratch& operator=(const BpeScratch&) = delete;

  const MergeTable& merges() const { return *merges_; }

  WordCache cache;
  std::vector<TokenId> symbols;
  std::string piece;
  // of long words
  std::vector<std::uint32_t> previous;
  std::vector<std::uint32_t> next;
  std::vector<std::uint64_t> queue;
  // of words that are merged window by window
  std::vector<TokenId> window;
  std::vector<std::uint32_t> offsets;  // of its symbols in the word
  std::vector<Placed> here;
  std::vector<Placed> there;
  std::vector<Placed> joint;

 private:
  const MergeTable* merges_;               // the model's, or open_merges_
  std::optional<MergeTable> open_merges_;  // where some merge ends in a closed id
};

// The pairs of characters at which two tokens meet in some merge. Between any other two, no merge
// can ever reach across, and a long text falls into words that do not know of each other: a whole
// document, where there is no pre-tokenizer. A set of hashes; a false hit costs time, not truth.
class Joints {
 public:
  Joints() : bits_(kBits / 64) {}
  void add(char32_t left, char32_t right) {
    const std::size_t bit = hash(left, right);
    bits_[bit / 64] |= std::uint64_t{1} << bit % 64;
  }
  bool may_join(char32_t left, char32_t right) const {
    const std::size_t bit = hash(left, right);
    return (bits_[bit / 64] >> bit % 64 & 1) != 0;
  }
  std::size_t memory_bytes() const { return bits_.size() * 8; }

 private:
  static constexpr std::size_t kBits = 1 << 19;
  static std::size_t hash(char32_t left, char32_t right) {
    return static_cast<std::size_t>(mix(std::uint64_t{left} << 21 | right, kHashOdd1) % kBits);
  }
  std::vector<std::uint64_t> bits_;
};

class BpeModel final : public Model {
 public:
  BpeModel(Vocabulary vocabulary, std::vector<Merge> merges, BpeOptions options,
           std::optional<TokenId> unk)
      : vocabulary_(std::move(vocabulary)),
        merges_(merges.size()),
        options_(std::move(options)),
        unk_(unk) {
    for (std::size_t rank = 0; rank < merges.size(); ++rank) {
      const Merge& merge = merges[rank];
      merges_.set(merge.left, merge.right, static_cast<std::uint32_t>(rank), merge.result);
    }
    has_affixes_ =
        !options_.continuing_subword_prefix.empty() || !options_.end_of_word_suffix.empty();
    for (unsigned byte = 0; byte < 256; ++byte) {
      byte_ids_[byte] =
          vocabulary_.find(byte_level::char_of(static_cast<unsigned char>(byte))).value_or(-1);
      fallback_ids_[byte] = vocabulary_.find(fmt::format("<0x{:02X}>", byte)).value_or(-1);
    }
    for (unsigned c = 0; c < 128; ++c) {
      const char one = static_cast<char>(c);
      ascii_ids_[c] = vocabulary_.find({&one, 1}).value_or(-1);
    }
    const auto known = [](TokenId id) { return id >= 0; };
    all_bytes_known_ = !has_affixes_ && std::all_of(byte_ids_.begin(), byte_ids_.end(), known);
    std::size_t longest = 0;
    for (std::size_t id = 0; id < vocabulary_.size(); ++id) {
      if (const auto token = vocabulary_.at(static_cast<TokenId>(id)))
        longest = std::max(longest, token->size());
    }
    window_symbols_ = std::clamp(8 * longest, kWindow, 64 * kWindow);
    find_joints(merges);
  }

  std::unique_ptr<ModelScratch> make_scratch(const ClosedIds* closed) const override {
    return std::make_unique<BpeScratch>(merges_, closed);
  }

  Result<void> tokenize(std::string_view word, ModelScratch& scratch_base,
                        std::vector<TokenId>& out) const override {
    auto& scratch = static_cast<BpeScratch&>(scratch_base);
    if (!can_cut_ || word.size() <= WordCache::kMaxBytes) return tokenize_piece(word, scratch, out);
    std::size_t begin = 0;
    std::size_t at = 0;
    char32_t left = unicode::next_code_point(word, at);
    while (at < word.size()) {
      std::size_t behind = at;
      const char32_t right = unicode::next_code_point(word, behind);
      if (!joints_.may_join(left, right) && (cut_unknown_ || (is_known(left) && is_known(right)))) {
        OLLM_TRY_VOID(tokenize_piece(word.substr(begin, at - begin), scratch, out));
        begin = at;
      }
      left = right;
      at = behind;
    }
    return tokenize_piece(word.substr(begin), scratch, out);
  }

  Result<void> tokenize_bytes(std::string_view word, ModelScratch& scratch_base,
                              std::vector<TokenId>& out) const override {
    auto& scratch = static_cast<BpeScratch&>(scratch_base);
    const bool cached = word.size() <= WordCache::kMaxBytes;
    if (cached && scratch.cache.find(word, out)) return {};
    if (word.size() > window_symbols_ && all_bytes_known_) {
      // Longer than every token, so that ignore_merges has nothing to find.
      return merge_windows(OfBytes{*this, word}, scratch, out);
    }
    const std::size_t before = out.size();
    if (!start_with_bytes(word, scratch.symbols)) {
      scratch.piece.clear();
      byte_level::append_encoded(scratch.piece, word);
      OLLM_TRY_VOID(make_ids(scratch.piece, scratch, out));
    } else {
      if (options_.ignore_merges) {
        scratch.piece.clear();
        byte_level::append_encoded(scratch.piece, word);
        if (const auto id = vocabulary_.find(scratch.piece); id && !scratch.is_closed(*id)) {
          scratch.symbols.assign(1, *id);
        }
      }
      OLLM_TRY_VOID(merge(scratch, out));
    }
    if (cached) scratch.cache.put(word, std::span(out).subspan(before));
    return {};
  }

  // Symbols of a whole word, where it cannot be cut into windows before they are made, and the
  // characters that its bytes stand for.
  double bytes_per_text_byte(bool byte_level) const override {
    if (byte_level) return all_bytes_known_ ? 0 : 2 + sizeof(TokenId);
    return cut_unknown_ && !has_affixes_ ? 0 : sizeof(TokenId);
  }
  std::uint64_t scratch_bytes() const override { return window_symbols_ * 80; }
  const Vocabulary& vocabulary() const override { return vocabulary_; }
  std::size_t memory_bytes() const override {
    return sizeof(*this) + merges_.memory_bytes() + joints_.memory_bytes();
  }

 private:
  void find_joints(const std::vector<Merge>& merges) {
    can_cut_ = !has_affixes_ && !options_.ignore_merges;
    bool all_bytes = options_.byte_fallback;
    std::vector<TokenId> fallbacks(fallback_ids_.begin(), fallback_ids_.end());
    std::sort(fallbacks.begin(), fallbacks.end());
    all_bytes = all_bytes && fallbacks.front() >= 0;
    cut_unknown_ = all_bytes;  // else it may be dropped or fused, and its neighbours meet
    if (!can_cut_) return;
    for (const Merge& merge : merges) {
      for (const TokenId side : {merge.left, merge.right}) {
        // An unknown or fallback token that merges joins more than the characters it is spelt with.
        if (side == unk_ || std::binary_search(fallbacks.begin(), fallbacks.end(), side)) {
          can_cut_ = false;
          return;
        }
      }
      const std::string_view left = *vocabulary_.at(merge.left);
      const std::string_view right = *vocabulary_.at(merge.right);
      if (left.empty() || right.empty()) {
        can_cut_ = false;
        return;
      }
      std::size_t end = left.size();
      std::size_t at = 0;
      joints_.add(unicode::previous_code_point(left, end), unicode::next_code_point(right, at));
    }
  }

  bool is_known(char32_t c) const {
    if (c < 128) return ascii_ids_[c] >= 0;
    std::string one;
    unicode::append_utf8(one, c);
    return vocabulary_.find(one).has_value();
  }

  Result<void> tokenize_piece(std::string_view word, BpeScratch& scratch,
                              std::vector<TokenId>& out) const {
    const bool cached = word.size() <= WordCache::kMaxBytes;
    if (cached && scratch.cache.find(word, out)) return {};
    const std::size_t before = out.size();
    OLLM_TRY_VOID(make_ids(word, scratch, out));
    if (cached) scratch.cache.put(word, std::span(out).subspan(before));
    return {};
  }

  Result<void> make_ids(std::string_view word, BpeScratch& scratch,
                        std::vector<TokenId>& out) const {
    if (options_.ignore_merges) {
      if (const auto id = vocabulary_.find(word); id && !scratch.is_closed(*id)) {
        out.push_back(*id);
        return {};
      }
    }
    if (word.size() > window_symbols_ && cut_unknown_ && !has_affixes_) {
      return merge_windows(OfCharacters{*this, word}, scratch, out);
    }
    if (!start_with_characters(word, scratch.symbols)) {
      return fail(ErrorKind::unsupported,
                  fmt::format("a character of '{}' is not in the vocabulary, and neither is the "
                              "unk_token '{}'",
                              word.substr(0, 64), *options_.unk_token));
    }
    return merge(scratch, out);
  }

  bool start_with_bytes(std::string_view word, std::vector<TokenId>& symbols) const {
    if (has_affixes_) return false;
    symbols.resize(word.size());
    TokenId least = 0;
    for (std::size_t i = 0; i < word.size(); ++i) {
      symbols[i] = byte_ids_[static_cast<unsigned char>(word[i])];
      least = std::min(least, symbols[i]);
    }
    return least >= 0;
  }

  // False where the unknown token is needed and not in the vocabulary.
  bool start_with_characters(std::string_view word, std::vector<TokenId>& symbols) const {
    symbols.clear();
    symbols.reserve(word.size());
    TokenId unknown = -1;  // one that waits for the next character, to be fused with it
    std::string affixed;
    for (std::size_t at = 0; at < word.size();) {
      const std::size_t begin = at;
      at = std::min(word.size(), at + unicode::utf8_length(word[at]));
      std::string_view character = word.substr(begin, at - begin);
      if (has_affixes_) {
        affixed.clear();
        if (begin > 0) affixed += options_.continuing_subword_prefix;
        affixed += character;
        if (at == word.size()) affixed += options_.end_of_word_suffix;
        character = affixed;
      }
      if (const TokenId id = id_of(character); id >= 0) {
        if (unknown >= 0) symbols.push_back(std::exchange(unknown, -1));
        symbols.push_back(id);
        continue;
      }
      // An unknown token that waits stays behind the bytes: so does the Hugging Face library.
      if (options_.byte_fallback && append_fallback(character, symbols)) continue;
      if (!unk_ && options_.unk_token) return false;
      if (!unk_) continue;
      if (unknown >= 0 && !options_.fuse_unk) symbols.push_back(unknown);
      unknown = *unk_;
    }
    if (unknown >= 0) symbols.push_back(unknown);
    return true;
  }

  TokenId id_of(std::string_view character) const {
    if (character.size() == 1) {
      const auto c = static_cast<unsigned char>(character[0]);
      if (c < 128) return ascii_ids_[c];
    }
    return vocabulary_.find(character).value_or(-1);
  }

  bool append_fallback(std::string_view character, std::vector<TokenId>& symbols) const {
    for (const char byte : character) {
      if (fallback_ids_[static_cast<unsigned char>(byte)] < 0) return false;
    }
    for (const char byte : character) {
      symbols.push_back(fallback_ids_[static_cast<unsigned char>(byte)]);
    }
    return true;
  }

  // How many symbols of scratch.symbols there are is small, or not to be helped.
  Result<void> merge(BpeScratch& scratch, std::vector<TokenId>& out) const {
    std::vector<TokenId>& symbols = scratch.symbols;
    if (symbols.size() <= kShortWord) {
      merge_short(scratch.merges(), symbols, out);
    } else if (symbols.size() <= window_symbols_) {
      merge_long(scratch, symbols);
      append_left(symbols, out);
    } else {
      return merge_windows(OfSymbols{*this, symbols}, scratch, out);
    }
    return {};
  }

  static void append_left(const std::vector<TokenId>& symbols, std::vector<TokenId>& out) {
    std::copy_if(symbols.begin(), symbols.end(), std::back_inserter(out),
                 [](TokenId id) { return id >= 0; });
  }

  // A long word, as what windows are filled from: `fill` puts the symbols of its bytes from `begin`
  // to `end` into scratch.window and their places into scratch.offsets, of at most window_symbols_,
  // and tells the byte behind them. A window may begin where `can_begin` says so.
  struct OfBytes {
    const BpeModel& model;
    std::string_view word;
    std::size_t size() const { return word.size(); }
    bool can_begin(std::size_t /*at*/) const { return true; }
    std::size_t fill(std::size_t begin, std::size_t end, BpeScratch& to) const {
      end = std::min(end, begin + model.window_symbols_);
      for (std::size_t i = begin; i < end; ++i) {
        to.window.push_back(model.byte_ids_[static_cast<unsigned char>(word[i])]);
        to.offsets.push_back(static_cast<std::uint32_t>(i));
      }
      return end;
    }
  };
  struct OfCharacters {
    const BpeModel& model;
    std::string_view word;
    std::size_t size() const { return word.size(); }
    // Not inside a character that fell into its bytes.
    bool can_begin(std::size_t at) const { return !unicode::is_utf8_continuation(word[at]); }
    std::size_t fill(std::size_t begin, std::size_t end, BpeScratch& to) const {
      std::size_t at = begin;
      while (at < end && to.window.size() + 4 <= model.window_symbols_) {
        const std::size_t size = std::min(unicode::utf8_length(word[at]), word.size() - at);
        const std::string_view character = word.substr(at, size);
        if (const TokenId id = model.id_of(character); id >= 0) {
          to.window.push_back(id);
          to.offsets.push_back(static_cast<std::uint32_t>(at));
        } else {
          model.append_fallback(character, to.window);
          for (std::size_t i = 0; i < size; ++i)
            to.offsets.push_back(static_cast<std::uint32_t>(at + i));
        }
        at += size;
      }
      return at;
    }
  };
  struct OfSymbols {
    const BpeModel& model;
    std::span<const TokenId> word;
    std::size_t size() const { return word.size(); }
    bool can_begin(std::size_t /*at*/) const { return true; }
    std::size_t fill(std::size_t begin, std::size_t end, BpeScratch& to) const {
      end = std::min(end, begin + model.window_symbols_);
      for (std::size_t i = begin; i < end; ++i) {
        to.window.push_back(word[i]);
        to.offsets.push_back(static_cast<std::uint32_t>(i));
      }
      return end;
    }
  };

  // Merges a long word window by window, each begun at a border that the tokens of the one before
  // have, with the ids of the word as a whole: a list of tokens is what merging makes of their text
  // if and only if that holds for each two neighbours. (Merges run by rank, then by place. As long
  // as none has crossed a border, what happens on its two sides is what would happen to the two
  // neighbours alone; so the first merge that crosses it in the whole would cross it there.)
  // Within a window all neighbours are so; where two windows meet, the two are tried.
  template <typename Source>
  Result<void> merge_windows(const Source& word, BpeScratch& scratch,
                             std::vector<TokenId>& out) const {
    const auto merged = [&](std::size_t begin, std::size_t limit, std::vector<Placed>& tokens) {
      scratch.window.clear();
      scratch.offsets.clear();
      const std::size_t end = word.fill(begin, limit, scratch);
      merge_long(scratch, scratch.window);
      tokens.clear();
      for (std::size_t i = 0; i < scratch.window.size(); ++i) {
        if (scratch.window[i] >= 0) tokens.push_back({scratch.window[i], scratch.offsets[i]});
      }
      return end;
    };
    const auto end_of = [](const std::vector<Placed>& tokens, std::size_t i, std::size_t end) {
      return i + 1 < tokens.size() ? tokens[i + 1].begin : end;
    };
    // Whether token `kept - 1` of `here` and the first of `there` stay what they are side by side.
    const auto joins = [&](std::size_t kept, std::size_t here_end, std::size_t there_end) {
      const Placed left = scratch.here[kept - 1];
      const Placed right = scratch.there[0];
      const std::size_t right_end = end_of(scratch.there, 0, there_end);
      if (right.id == scratch.here[kept].id && right_end == end_of(scratch.here, kept, here_end)) {
        return true;
      }
      if (merged(left.begin, right_end, scratch.joint) != right_end) return false;
      const auto& joint = scratch.joint;
      return joint.size() == 2 && joint[0].id == left.id && joint[1].begin == right.begin &&
             joint[1].id == right.id;
    };
    const auto append = [&](std::size_t count) {
      for (std::size_t i = 0; i < count; ++i) out.push_back(scratch.here[i].id);
    };
    std::size_t end = merged(0, word.size(), scratch.here);
    while (end < word.size()) {
      // Not the last tokens, which the end of the window may have cut.
      std::size_t kept = scratch.here.size() * 3 / 4;
      std::size_t there_end = end;
      for (int tries = 0;; ++tries, kept -= std::max<std::size_t>(1, kept / 8)) {
        if (kept == 0 || tries == kTries) {
          return fail(ErrorKind::unsupported,
                      fmt::format("a word of {} symbols that the merges of the vocabulary join "
                                  "across {} of them and more",
                                  word.size(), window_symbols_));
        }
        if (!word.can_begin(scratch.here[kept].begin)) continue;
        there_end = merged(scratch.here[kept].begin, word.size(), scratch.there);
        if (joins(kept, end, there_end)) break;
      }
      append(kept);
      std::swap(scratch.here, scratch.there);
      end = there_end;
    }
    append(scratch.here.size());
    return {};
  }

  static void merge_short(const MergeTable& merges, std::vector<TokenId>& symbols,
                          std::vector<TokenId>& out) {
    std::array<std::uint32_t, kShortWord> ranks;
    std::array<TokenId, kShortWord> results;
    std::size_t count = symbols.size();
    const auto look_up = [&](std::size_t i) {
      const MergeTable::Slot& slot = merges.find(symbols[i], symbols[i + 1]);
      ranks[i] = slot.rank;
      results[i] = slot.result;
    };
    for (std::size_t i = 0; i + 1 < count; ++i) look_up(i);
    while (count > 1) {
      std::size_t best = 0;
      for (std::size_t i = 1; i + 1 < count; ++i) {
        if (ranks[i] < ranks[best]) best = i;
      }
      if (ranks[best] == MergeTable::kNoRank) break;
      symbols[best] = results[best];
      for (std::size_t i = best + 1; i + 1 < count; ++i) {
        symbols[i] = symbols[i + 1];
        ranks[i] = ranks[i + 1];
        results[i] = results[i + 1];
      }
      --count;
      if (best > 0) look_up(best - 1);
      if (best + 1 < count) look_up(best);
    }
    out.insert(out.end(), symbols.begin(), symbols.begin() + static_cast<std::ptrdiff_t>(count));
  }

  // O(n log n): a queue of (rank, position), and links to the neighbours that are left. An entry
  // whose pair has changed since is passed over. What is left of `symbols` is not negative.
  static void merge_long(BpeScratch& scratch, std::vector<TokenId>& symbols) {
    constexpr std::uint32_t kEnd = UINT32_MAX;
    const MergeTable& merges = scratch.merges();
    const auto count = static_cast<std::uint32_t>(symbols.size());
    auto& previous = scratch.previous;
    auto& next = scratch.next;
    auto& queue = scratch.queue;
    previous.resize(count);
    next.resize(count);
    queue.clear();
    const auto entry_of = [&](std::uint32_t at) -> std::uint64_t {
      return std::uint64_t{merges.find(symbols[at], symbols[next[at]]).rank} << 32 | at;
    };
    const auto is_merge = [](std::uint64_t entry) { return entry >> 32 != MergeTable::kNoRank; };
    for (std::uint32_t i = 0; i < count; ++i) {
      previous[i] = i - 1;  // kEnd for the first
      next[i] = i + 1 < count ? i + 1 : kEnd;
    }
    for (std::uint32_t i = 0; i + 1 < count; ++i) {
      if (const std::uint64_t entry = entry_of(i); is_merge(entry)) queue.push_back(entry);
    }
    const std::greater<> later;
    std::make_heap(queue.begin(), queue.end(), later);
    const auto push = [&](std::uint32_t at) {
      if (const std::uint64_t entry = entry_of(at); is_merge(entry)) {
        queue.push_back(entry);
        std::push_heap(queue.begin(), queue.end(), later);
      }
    };
    while (!queue.empty()) {
      const std::uint64_t entry = queue.front();
      std::pop_heap(queue.begin(), queue.end(), later);
      queue.pop_back();
      const auto at = static_cast<std::uint32_t>(entry);
      if (symbols[at] < 0 || next[at] == kEnd) continue;
      const std::uint32_t right = next[at];
      const MergeTable::Slot& slot = merges.find(symbols[at], symbols[right]);
      if (slot.rank != entry >> 32) continue;
      symbols[at] = slot.result;
      symbols[right] = -1;
      next[at] = next[right];
      if (next[at] != kEnd) {
        previous[next[at]] = at;
        push(at);
      }
      if (previous[at] != kEnd) push(previous[at]);
    }
  }

  Vocabulary vocabulary_;
  MergeTable merges_;
  Joints joints_;
  BpeOptions options_;
  std::optional<TokenId> unk_;
  bool has_affixes_ = false;
  bool all_bytes_known_ = false;  // every character of the byte-level alphabet is a token
  std::size_t window_symbols_ = kWindow;
  bool can_cut_ = false;      // a long word may be cut where nothing joins
  bool cut_unknown_ = false;  // also beside a character that is not in the vocabulary
  std::array<TokenId, 128> ascii_ids_;
  std::array<TokenId, 256> byte_ids_;      // of the byte-level alphabet
  std::array<TokenId, 256> fallback_ids_;  // <0x00> to <0xFF>
};

}  // namespace

ModelPtr make_bpe_model(Vocabulary vocabulary, std::vector<Merge> merges,
                        const BpeOptions& options) {
  std::optional<TokenId> unk;
  if (options.unk_token) unk = vocabulary.find(*options.unk_token);
  return std::make_unique<BpeModel>(std::move(vocabulary), std::move(merges), options, unk);
}

}  // namespace ollm::text
