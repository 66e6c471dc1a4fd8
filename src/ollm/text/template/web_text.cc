#include "ollm/text/template/web_text.h"

#include <fmt/format.h>

#include <cctype>
#include <charconv>
#include <string>
#include <string_view>
#include <utility>

#include "ollm/text/template/characters.h"

namespace ollm::text::jinja {
namespace {

// Everything from `open` to the next `close` cut out, as long as there is one.
std::string without_enclosed(std::string_view text, std::string_view open, std::string_view close) {
  std::string out;
  std::size_t at = 0;
  for (;;) {
    const std::size_t begin = find_text(text, open, at);
    const std::size_t end =
        begin == std::string_view::npos ? begin : find_text(text, close, begin + open.size());
    if (end == std::string_view::npos) break;
    out += text.substr(at, begin - at);
    at = end + close.size();
  }
  out += text.substr(at);
  return out;
}

// The character of the entity between & and ;, or 0.
char32_t entity(std::string_view name) {
  static constexpr std::pair<std::string_view, char32_t> kNamed[] = {
      {"lt", '<'}, {"gt", '>'}, {"amp", '&'}, {"quot", '"'}, {"apos", '\''}, {"nbsp", 0xA0}};
  for (const auto& [known, character] : kNamed) {
    if (known == name) return character;
  }
  if (name.size() < 2 || name[0] != '#') return 0;
  const bool hex = name[1] == 'x' || name[1] == 'X';
  const std::string_view digits = name.substr(hex ? 2 : 1);
  std::uint32_t code = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), code, hex ? 16 : 10);
  const bool whole = error == std::errc() && end == digits.data() + digits.size();
  return whole && code <= 0x10FFFF && (code < 0xD800 || code >= 0xE000) ? code : 0;
}

std::string with_entities_resolved(std::string_view text) {
  constexpr std::size_t kLongestEntity = 12;
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '&') {
      const std::size_t end = text.substr(i, kLongestEntity).find(';');
      const char32_t character =
          end == std::string_view::npos ? 0 : entity(text.substr(i + 1, end - 1));
      if (character != 0) {
        append_utf8(out, character);
        i += end;
        continue;
      }
    }
    out += text[i];
  }
  return out;
}

}  // namespace

Value without_tags(Interpreter& in, const MarkedText& text) {
  in.budget().spend_bytes(text.bytes.size() * 16);
  const std::string bare = without_enclosed(without_enclosed(text.bytes, "<!--", "-->"), "<", ">");
  std::string words;
  bool space_before = false;
  for (std::size_t i = 0; i < bare.size();) {
    const CodePoint c = decode_at(bare, i);
    if (is_space(c.value)) {
      space_before = !words.empty();
    } else {
      if (space_before) words += ' ';
      space_before = false;
      words.append(bare, i, c.size);
    }
    i += c.size;
  }
  TextBuilder out = in.heap().builder();
  out.append(with_entities_resolved(words), text.any_literal());
  return in.heap().string(std::move(out));
}

void append_url_quoted(Interpreter& in, TextBuilder& out, const MarkedText& text, bool for_query) {
  in.budget().spend_bytes(text.bytes.size() * 8);
  LiteralCursor cursor(text);
  for (std::size_t i = 0; i < text.bytes.size() && !out.overflowed(); ++i) {
    const auto byte = static_cast<unsigned char>(text.bytes[i]);
    const bool plain = byte < 0x80 && (std::isalnum(byte) != 0 || byte == '_' || byte == '.' ||
                                       byte == '-' || byte == '~' || (byte == '/' && !for_query));
    if (plain) {
      out.append(text, i, i + 1);
    } else if (for_query && byte == ' ') {
      out.append("+", cursor.at(i));
    } else {
      out.append(fmt::format("%{:02X}", byte), cursor.at(i));
    }
  }
}

}  // namespace ollm::text::jinja
