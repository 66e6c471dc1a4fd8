// UTF-8, code point by code point: reading, writing, checking, and what broken bytes read as.
// Leaves what a code point means to unicode.h.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ollm::text::unicode {

inline constexpr char32_t kReplacementCharacter = 0xFFFD;
inline constexpr std::string_view kReplacementUtf8 = "\xEF\xBF\xBD";

/// Bytes of the sequence that starts with `lead`, by its value alone; 1 for a byte that starts
/// none.
constexpr std::size_t utf8_length(char lead) {
  const auto byte = static_cast<unsigned char>(lead);
  if (byte < 0xC0) return 1;
  if (byte < 0xE0) return 2;
  return byte < 0xF0 ? 3 : 4;
}

constexpr bool is_utf8_continuation(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
}

/// The code point at byte `at`, which moves behind it. `text` must be valid UTF-8 and `at` a border
/// between two characters before its end.
constexpr char32_t next_code_point(std::string_view text, std::size_t& at) {
  const auto byte = [&](std::size_t i) {
    return static_cast<char32_t>(static_cast<unsigned char>(text[at + i]));
  };
  const char32_t lead = byte(0);
  char32_t result = lead;
  std::size_t length = 1;
  if (lead >= 0xF0) {
    result =
        (lead & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
    length = 4;
  } else if (lead >= 0xE0) {
    result = (lead & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
    length = 3;
  } else if (lead >= 0xC0) {
    result = (lead & 0x1F) << 6 | (byte(1) & 0x3F);
    length = 2;
  }
  at += length;
  return result;
}

/// The code point that ends right before byte `end` of valid UTF-8; `end` moves to where it begins.
constexpr char32_t previous_code_point(std::string_view text, std::size_t& end) {
  do {
    --end;
  } while (is_utf8_continuation(text[end]));
  std::size_t at = end;
  return next_code_point(text, at);
}

/// Appends the UTF-8 form of a code point, which must be a Unicode scalar value.
void append_utf8(std::string& out, char32_t code_point);

/// Bytes of the longest valid prefix: text.size() where all of it is UTF-8 (no overlong forms, no
/// surrogates, nothing above U+10FFFF).
std::size_t valid_utf8_prefix(std::string_view text);

/// Appends `bytes` with U+FFFD in place of every maximal subpart that is no UTF-8.
void append_lossy(std::string& out, std::string_view bytes);

}  // namespace ollm::text::unicode
