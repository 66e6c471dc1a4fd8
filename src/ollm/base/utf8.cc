#include "ollm/base/utf8.h"

#include <algorithm>

namespace ollm {

Utf8Scan scan_utf8(std::string_view bytes) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {Utf8Start::whole, 1};
  if (lead < 0xC2 || lead > 0xF4) return {Utf8Start::broken, 1};
  // The second byte has a narrower range behind E0 (overlong), ED (surrogates), F0 and F4.
  unsigned char low = 0x80;
  unsigned char high = 0xBF;
  if (lead == 0xE0) low = 0xA0;
  if (lead == 0xED) high = 0x9F;
  if (lead == 0xF0) low = 0x90;
  if (lead == 0xF4) high = 0x8F;
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  for (std::size_t i = 1; i < length; ++i) {
    if (i == bytes.size()) return {Utf8Start::cut, i};
    if (byte(i) < low || byte(i) > high) return {Utf8Start::broken, i};
    low = 0x80;
    high = 0xBF;
  }
  return {Utf8Start::whole, length};
}

std::size_t utf8_prefix(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t length = utf8_sequence(text, at);
    if (length == 0) break;
    at += length;
  }
  return at;
}

std::string json_text(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t length = utf8_sequence(text, 0);
    out += length == 0 ? std::string_view("\uFFFD") : text.substr(0, length);
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out;
}

}  // namespace ollm
