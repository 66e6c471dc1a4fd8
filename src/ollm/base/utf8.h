// Whether bytes are characters of UTF-8. Leaves to others: what they mean and how a tokenizer
// repairs broken ones (text/utf8.h).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ollm {

/// Bytes of the character that stands at byte `at` (below its size) of `text`, 1 to 4; 0 where none
/// does: cut, overlong, a surrogate, above U+10FFFF (Unicode, table 3-7).
inline std::size_t utf8_sequence(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const auto follows = [&](std::size_t i) { return (byte(i) & 0xc0u) == 0x80u; };
  const unsigned first = byte(at);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first < 0xe0) return follows(at + 1) ? 2 : 0;
  if (first >= 0xe0 && first < 0xf0) {
    const bool overlong = first == 0xe0 && byte(at + 1) < 0xa0;
    const bool surrogate = first == 0xed && byte(at + 1) >= 0xa0;
    return follows(at + 1) && follows(at + 2) && !overlong && !surrogate ? 3 : 0;
  }
  if (first >= 0xf0 && first < 0xf5) {
    const bool overlong = first == 0xf0 && byte(at + 1) < 0x90;
    const bool beyond = first == 0xf4 && byte(at + 1) >= 0x90;
    const bool whole = follows(at + 1) && follows(at + 2) && follows(at + 3);
    return whole && !overlong && !beyond ? 4 : 0;
  }
  return 0;
}

/// A text as JSON takes it: U+FFFD in place of every byte that belongs to no character.
std::string json_text(std::string_view text);

}  // namespace ollm
