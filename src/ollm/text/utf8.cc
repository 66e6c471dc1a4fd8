// UTF-8 written and repaired (utf8.h). Leaves the scanning of one character to base/utf8.h, bulk
// validation of whole texts to simdjson, which is several times faster.
#include "ollm/text/utf8.h"

#include <simdjson.h>

#include "ollm/base/utf8.h"

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

std::size_t valid_utf8_prefix(std::string_view text) {
  return simdjson::validate_utf8(text.data(), text.size()) ? text.size() : utf8_prefix(text);
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
