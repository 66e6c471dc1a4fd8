// Whether bytes are characters of UTF-8. Leaves to others: what they mean and how a tokenizer
// repairs broken ones (text/utf8.h).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ollm {

/// What a sequence of bytes is, as far as it has been seen.
enum class Utf8Start { whole, cut, broken };

/// The first character of `bytes` (not empty): `whole` and its length; `cut` where more bytes could
/// complete it (length: all of them); `broken` with the length of what one U+FFFD stands for
/// (Unicode 15, section 3.9: the maximal subpart).
struct Utf8Scan {
  Utf8Start start;
  std::size_t length;
};
Utf8Scan scan_utf8(std::string_view bytes);

/// Bytes of the character that stands at byte `at` (below its size) of `text`, 1 to 4; 0 where none
/// does: cut, overlong, a surrogate, above U+10FFFF (Unicode, table 3-7).
inline std::size_t utf8_sequence(std::string_view text, std::size_t at) {
  const Utf8Scan scan = scan_utf8(text.substr(at));
  return scan.start == Utf8Start::whole ? scan.length : 0;
}

/// Bytes of the longest prefix that is UTF-8: text.size() where all of it is.
std::size_t utf8_prefix(std::string_view text);

/// A text as JSON takes it: U+FFFD in place of every byte that belongs to no character.
std::string json_text(std::string_view text);

}  // namespace ollm
