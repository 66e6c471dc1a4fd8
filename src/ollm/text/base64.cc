// RFC 4648, section 4 (base64.h).
// Leaves line breaks and the URL alphabet out: the format has neither.
#include "ollm/text/base64.h"

#include <array>
#include <cstdint>

namespace ollm::text {
namespace {

constexpr auto kValues = [] {
  std::array<std::int8_t, 256> values{};
  values.fill(-1);
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
    values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::int8_t>(i);
  }
  return values;
}();

}  // namespace

Result<std::string> decode_base64(std::string_view text) {
  if (text.size() % 4 != 0) return fail(ErrorKind::corrupt, "base64 that is cut");
  std::size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  std::string out;
  out.reserve(text.size() / 4 * 3);
  for (std::size_t at = 0; at < text.size(); at += 4) {
    std::uint32_t bits = 0;
    const std::size_t digits = at + 4 == text.size() ? 4 - padding : 4;
    for (std::size_t i = 0; i < 4; ++i) {
      const int value = i < digits ? kValues[static_cast<unsigned char>(text[at + i])] : 0;
      if (value < 0) return fail(ErrorKind::corrupt, "a character that is not of base64");
      bits = bits << 6 | static_cast<std::uint32_t>(value);
    }
    out.push_back(static_cast<char>(bits >> 16));
    if (digits > 2) out.push_back(static_cast<char>(bits >> 8 & 0xFF));
    if (digits > 3) out.push_back(static_cast<char>(bits & 0xFF));
  }
  return out;
}

}  // namespace ollm::text
