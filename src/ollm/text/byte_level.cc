// The table of the byte-level alphabet, made once (byte_level.h).
// Leaves nothing to others: it is a pure function of the byte.
#include "ollm/text/byte_level.h"

#include <array>
#include <cstdint>

#include "ollm/text/utf8.h"

namespace ollm::text::byte_level {
namespace {

constexpr bool stands_for_itself(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct Alphabet {
  std::array<std::array<char, 2>, 256> chars{};
  std::array<std::uint8_t, 256> lengths{};
  std::array<std::int16_t, 0x144> bytes{};  // by code point; the last is U+0143

  constexpr Alphabet() {
    bytes.fill(-1);
    unsigned next = 0x100;
    for (unsigned byte = 0; byte < 256; ++byte) {
      const unsigned c = stands_for_itself(byte) ? byte : next++;
      bytes[c] = static_cast<std::int16_t>(byte);
      if (c < 0x80) {
        chars[byte][0] = static_cast<char>(c);
        lengths[byte] = 1;
      } else {
        chars[byte][0] = static_cast<char>(0xC0 | c >> 6);
        chars[byte][1] = static_cast<char>(0x80 | (c & 0x3F));
        lengths[byte] = 2;
      }
    }
  }
};

constexpr Alphabet kAlphabet;

}  // namespace

std::string_view char_of(unsigned char byte) {
  return {kAlphabet.chars[byte].data(), kAlphabet.lengths[byte]};
}

int byte_of(char32_t c) { return c < kAlphabet.bytes.size() ? kAlphabet.bytes[c] : -1; }

void append_encoded(std::string& out, std::string_view bytes) {
  for (const char byte : bytes) out += char_of(static_cast<unsigned char>(byte));
}

void append_decoded(std::string& out, std::string_view token) {
  const std::size_t before = out.size();
  for (std::size_t at = 0; at < token.size();) {
    const int byte = byte_of(unicode::next_code_point(token, at));
    if (byte < 0) {
      out.resize(before);
      out += token;
      return;
    }
    out.push_back(static_cast<char>(byte));
  }
}

}  // namespace ollm::text::byte_level
