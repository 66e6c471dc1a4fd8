// UTF-8 written, checked and repaired (utf8.h); the scanning follows table 3-7 of the Unicode
// standard. Leaves bulk validation of whole texts to simdjson, which is several times faster.
#include "ollm/text/utf8.h"

#include <simdjson.h>

namespace ollm::text::unicode {

void append_utf8(std::string& out, char32_t code_point) {
  const auto put = [&](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xC0 | code_point >> 6);
    put(0x80 | (code_point & 0x3F));
  } else if (code_point < 0x10000) {
    put(0xE0 | code_point >> 12);
    put(0x80 | (code_point >> 6 & 0x3F));
    put(0x80 | (code_point & 0x3F));
  } else {
    put(0xF0 | code_point >> 18);
    put(0x80 | (code_point >> 12 & 0x3F));
    put(0x80 | (code_point >> 6 & 0x3F));
    put(0x80 | (code_point & 0x3F));
  }
}

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
  const std::size_t length = utf8_length(bytes[0]);
  for (std::size_t i = 1; i < length; ++i) {
    if (i == bytes.size()) return {Utf8Start::cut, i};
    if (byte(i) < low || byte(i) > high) return {Utf8Start::broken, i};
    low = 0x80;
    high = 0xBF;
  }
  return {Utf8Start::whole, length};
}

std::size_t valid_utf8_prefix(std::string_view text) {
  if (simdjson::validate_utf8(text.data(), text.size())) return text.size();
  std::size_t at = 0;
  while (at < text.size()) {
    const Utf8Scan scan = scan_utf8(text.substr(at));
    if (scan.start != Utf8Start::whole) break;
    at += scan.length;
  }
  return at;
}

void append_lossy(std::string& out, std::string_view bytes) {
  const std::size_t valid = valid_utf8_prefix(bytes);
  out += bytes.substr(0, valid);
  bytes.remove_prefix(valid);
  while (!bytes.empty()) {
    const Utf8Scan scan = scan_utf8(bytes);
    out += scan.start == Utf8Start::whole ? bytes.substr(0, scan.length) : kReplacementUtf8;
    bytes.remove_prefix(scan.length);
  }
}

}  // namespace ollm::text::unicode
