// A word on its way through the pre-tokenizers, and who takes it next.
// Leaves where to cut to pre_tokenizer.h.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

#include "ollm/base/result.h"
#include "ollm/text/byte_level.h"

namespace ollm::text {

/// A word, borrowed from whoever hands it on: it is there until the call returns.
///
/// Words go from step to step one by one, so that a text is never held as a list of its words: of
/// a long one that was several times its size.
struct Word {
  std::string_view text;
  std::size_t first_bytes = 0;  // so many of its bytes come from the very start of what is encoded
  bool byte_level = false;      // its bytes stand for characters of the byte-level alphabet

  bool is_first() const { return first_bytes > 0; }

  /// The bytes [begin, end) of it.
  Word part(std::size_t begin, std::size_t end) const {
    const std::size_t first = first_bytes > begin ? std::min(first_bytes, end) - begin : 0;
    return {text.substr(begin, end - begin), first, byte_level};
  }
  /// A word of that text in its place.
  Word with_text(std::string_view rewritten) const {
    return {rewritten, is_first() ? rewritten.size() : 0, false};
  }
  /// The word with its bytes written as the characters that they stand for, in `storage`.
  Word written_out(std::string& storage) const {
    if (!byte_level) return *this;
    storage.clear();
    byte_level::append_encoded(storage, text);
    return with_text(storage);
  }
};

/// Takes words in their order.
class WordSink {
 public:
  virtual ~WordSink() = default;
  /// Errors: those of what is done with the word.
  virtual Result<void> take(const Word& word) = 0;
};

/// Hands on what `cut(text, emit)` emits of a word: `emit(begin, end)` within its text, in order;
/// empty ones do not count.
template <typename Cut>
Result<void> split(const Word& word, WordSink& next, const Cut& cut) {
  std::string storage;
  const Word whole = word.written_out(storage);
  Result<void> taken;
  const auto emit = [&](std::size_t begin, std::size_t end) {
    if (begin != end && taken.ok()) taken = next.take(whole.part(begin, end));
  };
  OLLM_TRY_VOID(cut(whole.text, emit));
  return taken;
}

}  // namespace ollm::text
