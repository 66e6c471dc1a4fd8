// A piece of text cut into words, on its way through the pre-tokenizers.
// Leaves where to cut to pre_tokenizer.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ollm/base/result.h"

namespace ollm::text {

/// Words, in order, of one text below 4 GiB. Steps either cut words into smaller ones, or rewrite
/// them. Its memory is kept from one text to the next.
class PreTokenizedText {
 public:
  struct Word {
    std::uint32_t begin;
    std::uint32_t end;
  };

  /// Starts with all of `text` as one word (none where it is empty). `text` must outlive the steps.
  /// The first `first_bytes` of it come from the very start of what is encoded.
  void reset(std::string_view text, std::size_t first_bytes) {
    text_ = text;
    first_bytes_ = first_bytes;
    byte_level_ = false;
    words_.clear();
    if (!text.empty()) words_.push_back({0, static_cast<std::uint32_t>(text.size())});
  }

  const std::vector<Word>& words() const { return words_; }
  std::string_view view(const Word& word) const {
    return text_.substr(word.begin, word.end - word.begin);
  }

  /// Whether the bytes of the words stand for characters of the byte-level alphabet: they are kept
  /// as they are until somebody needs them written out.
  bool byte_level() const { return byte_level_; }

  /// Writes every byte as its character of the byte-level alphabet, later or now.
  void encode_bytes() {
    write_bytes();
    byte_level_ = true;
  }
  void write_bytes();

  /// Replaces each word by those that `cut(text, emit)` emits: `emit(begin, end)` within the word,
  /// in order; empty ones do not count.
  template <typename Cut>
  Result<void> split(const Cut& cut) {
    write_bytes();
    spare_.clear();
    for (const Word& word : words_) {
      const auto emit = [&](std::size_t begin, std::size_t end) {
        if (begin == end) return;
        spare_.push_back({word.begin + static_cast<std::uint32_t>(begin),
                          word.begin + static_cast<std::uint32_t>(end)});
      };
      OLLM_TRY_VOID(cut(view(word), emit));
    }
    std::swap(words_, spare_);
    return {};
  }

  /// Replaces each word by what `write(text, is_first, out)` appends to `out`.
  template <typename Write>
  void rewrite(const Write& write) {
    write_bytes();
    rewrite_words(write);
  }

 private:
  template <typename Write>
  void rewrite_words(const Write& write) {
    std::string out = std::move(spare_text_);
    out.clear();
    std::size_t first_bytes = 0;
    for (Word& word : words_) {
      const bool is_first = word.begin < first_bytes_;
      const auto begin = static_cast<std::uint32_t>(out.size());
      write(view(word), is_first, out);
      word = {begin, static_cast<std::uint32_t>(out.size())};
      if (is_first) first_bytes = out.size();
    }
    // What was borrowed or written before is no longer looked at.
    spare_text_ = std::move(storage_);
    storage_ = std::move(out);
    text_ = storage_;
    first_bytes_ = first_bytes;
  }

  std::string_view text_;
  std::string storage_;     // owns text_ once rewritten
  std::string spare_text_;  // the storage before, for its capacity
  std::vector<Word> words_;
  std::vector<Word> spare_;
  std::size_t first_bytes_ = 0;
  bool byte_level_ = false;
};

}  // namespace ollm::text
