#include "ollm/base/json_cursor.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <charconv>

#include "ollm/base/utf8.h"

namespace ollm {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// U+202A to U+202E and U+2066 to U+2069: a name could stand there back to front.
bool turns_direction(std::string_view one) {
  return (one >= "\u202a" && one <= "\u202e") || (one >= "\u2066" && one <= "\u2069");
}

std::size_t write_utf8(char* out, std::uint32_t code) {
  if (code < 0x80) {
    out[0] = static_cast<char>(code);
    return 1;
  }
  if (code < 0x800) {
    out[0] = static_cast<char>(0xc0 | code >> 6);
    out[1] = static_cast<char>(0x80 | (code & 0x3f));
    return 2;
  }
  if (code < 0x10000) {
    out[0] = static_cast<char>(0xe0 | code >> 12);
    out[1] = static_cast<char>(0x80 | (code >> 6 & 0x3f));
    out[2] = static_cast<char>(0x80 | (code & 0x3f));
    return 3;
  }
  out[0] = static_cast<char>(0xf0 | code >> 18);
  out[1] = static_cast<char>(0x80 | (code >> 12 & 0x3f));
  out[2] = static_cast<char>(0x80 | (code >> 6 & 0x3f));
  out[3] = static_cast<char>(0x80 | (code & 0x3f));
  return 4;
}

}  // namespace

Result<void> check_utf8(std::string_view text) {
  if (simdjson::validate_utf8(text.data(), text.size())) return {};
  return fail(ErrorKind::corrupt, fmt::format("byte {}: is not UTF-8", utf8_prefix(text)));
}

void blank_byte_order_mark(std::string& text) {
  if (text.starts_with(kByteOrderMark))
    text.replace(0, kByteOrderMark.size(), kByteOrderMark.size(), ' ');
}

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_sequence(text, at);
    const std::string_view one = text.substr(at, std::max<std::size_t>(length, 1));
    const auto byte = static_cast<unsigned char>(one[0]);
    const bool control = byte < 0x20 || byte == 0x7f || (one[0] == '\xc2' && one < "\xc2\xa0");
    if (length == 0 || control || turns_direction(one))
      out += '?';
    else
      out += one;
    at += one.size();
  }
  return out;
}

std::string quote_name(std::string_view name) {
  constexpr std::size_t kShown = 120;
  std::size_t end = name.size();
  if (end > kShown) {
    end = kShown;
    while (end > 0 && (static_cast<unsigned char>(name[end]) & 0xc0u) == 0x80u) --end;
  }
  return fmt::format("'{}{}'", printable(name.substr(0, end)), end < name.size() ? "..." : "");
}

void JsonCursor::skip_space() {
  while (at_ < size_) {
    const char c = text_[at_];
    if (c != ' ' && c != '\n' && c != '\t' && c != '\r') return;
    ++at_;
  }
}

char JsonCursor::peek() {
  skip_space();
  return at_ < size_ ? text_[at_] : '\0';
}

bool JsonCursor::take(char token) {
  if (peek() != token || at_ >= size_) return false;
  ++at_;
  return true;
}

Error JsonCursor::error(std::string_view message) const {
  return fail(ErrorKind::corrupt, fmt::format("byte {}: {}", at_, message));
}

Error JsonCursor::expected(std::string_view what) {
  const char next = peek();
  const std::string_view rest(text_ + at_, size_ - at_);
  for (const std::string_view word : kPythonNumbers)
    if (rest.starts_with(word))
      return error(fmt::format("expected {}, found {}, which is Python's and no JSON", what, word));
  if (at_ >= size_) return error(fmt::format("expected {}, found the end of the text", what));
  const auto byte = static_cast<unsigned char>(next);
  if (byte < 0x20 || byte == 0x7f)
    return error(fmt::format("expected {}, found the byte 0x{:02x}", what, byte));
  const std::size_t length = utf8_sequence(rest, 0);
  return error(fmt::format("expected {}, found {}", what, quote_name(rest.substr(0, length))));
}

Result<void> JsonCursor::expect(char token, std::string_view what) {
  if (take(token)) return {};
  return expected(what);
}

Result<bool> JsonCursor::more(char end, bool first) {
  if (take(end)) return false;
  if (first) return true;
  if (!take(',')) return expected(fmt::format("',' or '{}'", end));
  if (peek() == end) return expected(end == '}' ? "a key" : "a value");
  return true;
}

Result<std::string_view> JsonCursor::key() {
  OLLM_TRY(const std::string_view key, string("a key"));
  OLLM_TRY_VOID(expect(':', "':'"));
  return key;
}

Result<std::string_view> JsonCursor::string(std::string_view what) {
  if (!take('"')) return expected(what);
  const std::size_t begin = at_;
  std::size_t write = begin;
  for (;;) {
    // Runs without escapes stay where they are, unless an escape before them made room.
    const std::size_t run = at_;
    while (at_ < size_ && text_[at_] != '"' && text_[at_] != '\\' &&
           static_cast<unsigned char>(text_[at_]) >= 0x20)
      ++at_;
    if (write != run)
      for (std::size_t i = run; i < at_; ++i) text_[write + (i - run)] = text_[i];
    write += at_ - run;
    if (at_ >= size_) return error("the text ends inside a string");
    if (text_[at_] == '"') {
      ++at_;
      return std::string_view(text_ + begin, write - begin);
    }
    if (text_[at_] != '\\')
      return error(fmt::format("the control character 0x{:02x} stands bare in a string",
                               static_cast<unsigned char>(text_[at_])));
    OLLM_TRY_VOID(decode_escape(write));
  }
}

Result<void> JsonCursor::decode_escape(std::size_t& write) {
  if (at_ + 1 >= size_) return error("the text ends inside a string");
  const char kind = text_[at_ + 1];
  const auto plain = [&](char c) {
    text_[write++] = c;
    at_ += 2;
    return Result<void>();
  };
  switch (kind) {
    case '"':
    case '\\':
    case '/':
      return plain(kind);
    case 'b':
      return plain('\b');
    case 'f':
      return plain('\f');
    case 'n':
      return plain('\n');
    case 'r':
      return plain('\r');
    case 't':
      return plain('\t');
    case 'u':
      break;
    default:
      return error("an unknown escape in a string");
  }
  OLLM_TRY(std::uint32_t code, hex4());
  if (code >= 0xdc00 && code < 0xe000) return error("a lone surrogate in a string");
  if (code >= 0xd800 && code < 0xdc00) {
    if (at_ + 1 >= size_ || text_[at_] != '\\' || text_[at_ + 1] != 'u')
      return error("a lone surrogate in a string");
    OLLM_TRY(const std::uint32_t low, hex4());
    if (low < 0xdc00 || low >= 0xe000) return error("a lone surrogate in a string");
    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
  }
  write += write_utf8(text_ + write, code);
  return {};
}

// The four digits of the \u at the cursor, and walks over all six characters.
Result<std::uint32_t> JsonCursor::hex4() {
  if (at_ + 6 > size_) return error("the text ends inside a string");
  std::uint32_t code = 0;
  const char* digits = text_ + at_ + 2;
  const auto [stop, failed] = std::from_chars(digits, digits + 4, code, 16);
  if (failed != std::errc() || stop != digits + 4)
    return error("\\u needs four hexadecimal digits");
  at_ += 6;
  return code;
}

Result<std::uint64_t> JsonCursor::natural(std::string_view what) {
  const char first = peek();
  if (first == '-') return error(fmt::format("expected {}, found a negative number", what));
  if (!is_digit(first)) return expected(what);
  const std::size_t begin = at_;
  OLLM_TRY(const std::string_view digits, number());
  std::uint64_t value = 0;
  const auto [stop, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (failed == std::errc() && stop == digits.data() + digits.size()) return value;
  at_ = begin;
  if (failed == std::errc::result_out_of_range)
    return error(fmt::format("expected {}, found one past 2^64 - 1", what));
  return error(
      fmt::format("expected {}, found {}, which is no whole number", what, quote_name(digits)));
}

Result<std::string_view> JsonCursor::number() {
  if (const char first = peek(); first != '-' && !is_digit(first)) return expected("a number");
  const std::size_t begin = at_;
  const auto at_digit = [this] { return at_ < size_ && is_digit(text_[at_]); };
  const auto take_digits = [&] {
    const std::size_t from = at_;
    while (at_digit()) ++at_;
    return at_ > from;
  };
  if (text_[at_] == '-') {
    if (std::string_view(text_ + at_, size_ - at_).starts_with("-Infinity"))
      return expected("a number");
    ++at_;
  }
  const std::size_t whole = at_;
  if (!take_digits()) return expected("a digit");
  if (text_[whole] == '0' && at_ - whole > 1) {
    at_ = whole;
    return error("a number starts with a needless 0");
  }
  if (at_ < size_ && text_[at_] == '.') {
    ++at_;
    if (!take_digits()) return expected("a digit behind the point");
  }
  if (at_ < size_ && (text_[at_] == 'e' || text_[at_] == 'E')) {
    ++at_;
    if (at_ < size_ && (text_[at_] == '+' || text_[at_] == '-')) ++at_;
    if (!take_digits()) return expected("a digit of the exponent");
  }
  return std::string_view(text_ + begin, at_ - begin);
}

bool JsonCursor::word(std::string_view word) {
  peek();
  if (!std::string_view(text_ + at_, size_ - at_).starts_with(word)) return false;
  at_ += word.size();
  return true;
}

Result<void> JsonCursor::skip_value(std::size_t depth) {
  const char next = peek();
  if (next == '"') {
    OLLM_TRY_VOID(string("a string"));
    return {};
  }
  if (next == '{' || next == '[') {
    if (depth == 0) return error("nested too deep");
    ++at_;
    const char end = next == '{' ? '}' : ']';
    for (bool first = true;; first = false) {
      OLLM_TRY(const bool another, more(end, first));
      if (!another) return {};
      if (next == '{') OLLM_TRY_VOID(key());
      OLLM_TRY_VOID(skip_value(depth - 1));
    }
  }
  for (const std::string_view number : kPythonNumbers)
    if (word(number)) return {};
  if (next == '-' || is_digit(next)) {
    OLLM_TRY_VOID(number());
    return {};
  }
  if (word("true") || word("false") || word("null")) return {};
  return expected("a value");
}

}  // namespace ollm
