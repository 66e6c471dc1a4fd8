#include "ollm/text/template/lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "ollm/text/template/characters.h"
#include "ollm/text/template/python_format.h"

namespace ollm::text::jinja {
namespace {

bool is_digit_byte(char c) { return c >= '0' && c <= '9'; }

std::string normalized(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
    } else if (i + 1 >= source.size() || source[i + 1] != '\n') {
      out += '\n';
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

// Digits of `base` with single underscores between them, from `at`; the offset of their end.
std::size_t digits_end(std::string_view text, std::size_t at, int base, bool leading_underscore) {
  std::size_t end = at;
  for (std::size_t i = at; i < text.size();) {
    std::size_t digit = i;
    if (text[i] == '_' && (i > at || leading_underscore)) ++digit;
    if (digit >= text.size()) break;
    const char c = text[digit];
    const int value = is_digit_byte(c)         ? c - '0'
                      : (c >= 'a' && c <= 'f') ? c - 'a' + 10
                      : (c >= 'A' && c <= 'F') ? c - 'A' + 10
                                               : 99;
    if (value >= base) break;
    i = end = digit + 1;
  }
  return end;
}

std::string without_underscores(std::string_view text) {
  std::string out(text);
  std::erase(out, '_');
  return out;
}

}  // namespace

std::string Token::describe() const {
  switch (type) {
    case TokenType::end_of_template:
      return "end of template";
    case TokenType::data:
      return "template data";
    case TokenType::variable_begin:
      return "begin of print statement";
    case TokenType::variable_end:
      return "end of print statement";
    case TokenType::block_begin:
      return "begin of statement block";
    case TokenType::block_end:
      return "end of statement block";
    case TokenType::integer:
      return fmt::format("{}", integer);
    case TokenType::real:
      return real_repr(real);
    default:
      return text;
  }
}

Lexer::Lexer(std::string_view source) : source_(normalized(source)) {}

Position Lexer::position_of(std::size_t offset) {
  if (offset < seen_offset_) {
    seen_offset_ = 0;
    seen_ = {1, 1};
  }
  for (; seen_offset_ < std::min(offset, source_.size()); ++seen_offset_) {
    const auto byte = static_cast<unsigned char>(source_[seen_offset_]);
    if (byte == '\n') {
      ++seen_.line;
      seen_.column = 1;
    } else if ((byte & 0xC0) != 0x80) {
      ++seen_.column;
    }
  }
  return seen_;
}

Error Lexer::syntax_error(std::size_t offset, std::string message) {
  error_position_ = position_of(offset);
  return fail(ErrorKind::corrupt, std::move(message));
}

Token Lexer::token(TokenType type, std::size_t offset, std::string text) {
  Token made;
  made.type = type;
  made.text = std::move(text);
  made.at = position_of(offset);
  return made;
}

bool Lexer::starts_with(std::size_t offset, std::string_view text) const {
  return std::string_view(source_).substr(std::min(offset, source_.size())).starts_with(text);
}

std::size_t Lexer::skip_space(std::size_t offset) const {
  while (offset < source_.size()) {
    const CodePoint c = decode_at(source_, offset);
    if (!is_space(c.value)) break;
    offset += c.size;
  }
  return offset;
}

// The offset after a closing tag with its sign and the white space it takes along, if one is here.
std::size_t Lexer::end_of_tag(std::size_t offset, std::string_view close) const {
  const bool trims_newline = close != "}}";
  if (starts_with(offset, close)) {
    offset += close.size();
    return trims_newline && starts_with(offset, "\n") ? offset + 1 : offset;
  }
  if (starts_with(offset, "-") && starts_with(offset + 1, close)) {
    return skip_space(offset + 1 + close.size());
  }
  if (trims_newline && starts_with(offset, "+") && starts_with(offset + 1, close)) {
    return offset + 1 + close.size();
  }
  return std::string::npos;
}

std::string_view Lexer::cut_before_tag(std::string_view data, char sign, bool strip_line) const {
  if (sign == '-') {
    while (!data.empty()) {
      const CodePoint c = decode_before(data, data.size());
      if (!is_space(c.value)) break;
      data.remove_suffix(c.size);
    }
    return data;
  }
  if (sign == '+' || !strip_line) return data;
  const std::size_t newline = data.rfind('\n');
  const std::size_t line = newline == std::string_view::npos ? 0 : newline + 1;
  if (line == 0 && !line_starting_) return data;
  for (std::size_t i = line; i < data.size();) {
    const CodePoint c = decode_at(data, i);
    if (!is_space(c.value)) return data;
    i += c.size;
  }
  return data.substr(0, line);
}

Result<Token> Lexer::next() {
  for (;;) {
    if (state_ == State::variable || state_ == State::block) return next_in_tag();
    if (state_ == State::end) return token(TokenType::end_of_template, source_.size());
    OLLM_TRY(Token found, next_data());
    // Nothing is said about empty text and about comments.
    if (found.type != TokenType::data || !found.text.empty()) return found;
  }
}

Result<Token> Lexer::next_data() {
  if (tag_pending_) {
    tag_pending_ = false;
    const bool block = source_[tag_offset_ + 1] == '%';
    state_ = block ? State::block : State::variable;
    return token(block ? TokenType::block_begin : TokenType::variable_begin, tag_offset_);
  }
  const std::size_t begin = at_;
  std::size_t tag = begin;
  for (;; ++tag) {
    tag = source_.find('{', tag);
    if (tag == std::string::npos) {
      at_ = source_.size();
      state_ = State::end;
      return token(TokenType::data, begin, source_.substr(begin));
    }
    if (starts_with(tag, "{%") || starts_with(tag, "{{") || starts_with(tag, "{#")) break;
  }
  const std::string_view data = std::string_view(source_).substr(begin, tag - begin);
  at_ = tag + 2;
  const char sign = starts_with(at_, "-") ? '-' : starts_with(at_, "+") ? '+' : ' ';
  if (sign != ' ') ++at_;
  const char opened = source_[tag + 1];
  const std::string_view cut = cut_before_tag(data, sign, opened != '{');

  if (opened == '%') {
    const std::size_t word = skip_space(at_);
    if (starts_with(word, "raw")) {
      const std::size_t close = skip_space(word + 3);
      if (starts_with(close, "%}") || starts_with(close, "-%}")) {
        // A raw block keeps its first newline, so `end_of_tag` does not fit here.
        at_ = starts_with(close, "%}") ? close + 2 : skip_space(close + 3);
        line_starting_ = at_ > 0 && source_[at_ - 1] == '\n';
        return lex_raw(tag, cut);
      }
    }
  }
  Token text = token(TokenType::data, begin, std::string(cut));
  line_starting_ = false;
  if (opened == '#') {
    OLLM_TRY_VOID(skip_comment(tag));
    return text;
  }
  tag_offset_ = tag;
  tag_pending_ = true;
  brackets_.clear();
  return text;
}

Result<void> Lexer::skip_comment(std::size_t tag) {
  const std::size_t close = source_.find("#}", at_);
  if (close == std::string::npos) return syntax_error(tag, "Missing end of comment tag");
  const bool has_sign = close > at_ && (source_[close - 1] == '-' || source_[close - 1] == '+');
  at_ = end_of_tag(has_sign ? close - 1 : close, "#}");
  line_starting_ = source_[at_ - 1] == '\n';
  return {};
}

// `data` stands before the raw block, and both become one piece of text.
Result<Token> Lexer::lex_raw(std::size_t begin, std::string_view data) {
  std::string text(data);
  for (std::size_t tag = at_;; ++tag) {
    tag = source_.find("{%", tag);
    if (tag == std::string::npos) return syntax_error(begin, "Missing end of raw directive");
    std::size_t word = tag + 2;
    const char sign = starts_with(word, "-") ? '-' : starts_with(word, "+") ? '+' : ' ';
    if (sign != ' ') ++word;
    word = skip_space(word);
    if (!starts_with(word, "endraw")) continue;
    const std::size_t end = end_of_tag(skip_space(word + 6), "%}");
    if (end == std::string::npos) continue;
    text += cut_before_tag(std::string_view(source_).substr(at_, tag - at_), sign, true);
    at_ = end;
    line_starting_ = source_[at_ - 1] == '\n';
    return token(TokenType::data, begin, std::move(text));
  }
}

Result<Token> Lexer::next_in_tag() {
  at_ = skip_space(at_);
  const std::size_t begin = at_;
  if (brackets_.empty()) {
    const bool block = state_ == State::block;
    const std::size_t end = end_of_tag(begin, block ? "%}" : "}}");
    if (end != std::string::npos) {
      at_ = end;
      line_starting_ = source_[end - 1] == '\n';
      state_ = State::data;
      return token(block ? TokenType::block_end : TokenType::variable_end, begin);
    }
  }
  if (begin >= source_.size()) return token(TokenType::end_of_template, begin);
  const char first = source_[begin];
  if (is_digit_byte(first)) return lex_number();
  if (first == '\'' || first == '"') return lex_string();
  if (is_word(decode_at(source_, begin).value)) {
    while (at_ < source_.size()) {
      const CodePoint c = decode_at(source_, at_);
      if (!is_word(c.value)) break;
      at_ += c.size;
    }
    Token name = token(TokenType::name, begin, source_.substr(begin, at_ - begin));
    if (!is_identifier(name.text)) {
      return syntax_error(begin, "Invalid character in identifier");
    }
    return name;
  }
  return lex_operator();
}

Result<Token> Lexer::lex_operator() {
  static constexpr std::string_view kOperators[] = {
      "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
      "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
  for (const std::string_view op : kOperators) {
    if (!starts_with(at_, op)) continue;
    const char c = op[0];
    if (c == '(' || c == '[' || c == '{') {
      brackets_.push_back(c == '(' ? ')' : c == '[' ? ']' : '}');
    } else if (c == ')' || c == ']' || c == '}') {
      if (brackets_.empty()) return syntax_error(at_, fmt::format("unexpected '{}'", c));
      if (brackets_.back() != c) {
        return syntax_error(at_,
                            fmt::format("unexpected '{}', expected '{}'", c, brackets_.back()));
      }
      brackets_.pop_back();
    }
    Token found = token(TokenType::op, at_, std::string(op));
    at_ += op.size();
    return found;
  }
  const CodePoint c = decode_at(source_, at_);
  return syntax_error(at_, fmt::format("unexpected char {}", quoted(source_.substr(at_, c.size))));
}

Result<Token> Lexer::lex_integer(std::size_t size, int base, std::size_t prefix) {
  const std::string digits =
      without_underscores(std::string_view(source_).substr(at_ + prefix, size - prefix));
  Token found = token(TokenType::integer, at_, source_.substr(at_, size));
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), found.integer, base);
  if (error != std::errc()) return syntax_error(at_, "an integer beyond 64 bits");
  at_ += size;
  return found;
}

Result<Token> Lexer::lex_number() {
  const std::string_view rest = std::string_view(source_).substr(at_);
  // A float needs a point with digits after it, or an exponent; `x.1.2` is two items, no float.
  const std::size_t whole = digits_end(rest, 0, 10, false);
  std::size_t end = whole;
  if (end + 1 < rest.size() && rest[end] == '.' && is_digit_byte(rest[end + 1])) {
    end = digits_end(rest, end + 1, 10, false);
  }
  if (end < rest.size() && (rest[end] == 'e' || rest[end] == 'E')) {
    std::size_t power = end + 1;
    if (power < rest.size() && (rest[power] == '+' || rest[power] == '-')) ++power;
    if (power < rest.size() && is_digit_byte(rest[power])) end = digits_end(rest, power, 10, false);
  }
  if (end > whole && (at_ == 0 || source_[at_ - 1] != '.')) {
    const std::string digits = without_underscores(rest.substr(0, end));
    Token found = token(TokenType::real, at_, std::string(rest.substr(0, end)));
    const auto [last, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), found.real);
    if (error != std::errc()) return syntax_error(at_, "a float out of range");
    at_ += end;
    return found;
  }
  if (rest[0] == '0' && rest.size() > 2) {
    const int base = rest[1] == 'x' || rest[1] == 'X'   ? 16
                     : rest[1] == 'o' || rest[1] == 'O' ? 8
                     : rest[1] == 'b' || rest[1] == 'B' ? 2
                                                        : 0;
    if (base != 0) {
      const std::size_t based = digits_end(rest, 2, base, true);
      if (based > 2) return lex_integer(based, base, 2);
    }
  }
  // A decimal does not begin with a zero; zeros alone are one.
  return lex_integer(rest[0] == '0' ? digits_end(rest, 0, 1, false) : whole, 10, 0);
}

Result<Token> Lexer::lex_string() {
  const std::size_t begin = at_;
  const char quote = source_[begin];
  std::size_t end = begin + 1;
  while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
  if (end >= source_.size()) {
    return syntax_error(begin, fmt::format("unexpected char {}: the string does not end",
                                           quoted(std::string_view(&quote, 1))));
  }
  const std::string_view body = std::string_view(source_).substr(begin + 1, end - begin - 1);
  std::string value;
  for (std::size_t i = 0; i < body.size();) {
    if (body[i] != '\\') {
      value += body[i++];
      continue;
    }
    const std::size_t backslash = begin + 1 + i;
    const CodePoint c = decode_at(body, i + 1);
    i += 1 + c.size;
    const auto hex = [&](std::size_t size) -> std::optional<char32_t> {
      std::uint32_t code = 0;
      const char* first = body.data() + std::min(i, body.size());
      const char* last = body.data() + std::min(i + size, body.size());
      const auto [stop, error] = std::from_chars(first, last, code, 16);
      if (error != std::errc() || stop != first + size) return std::nullopt;
      if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return std::nullopt;
      i += size;
      return code;
    };
    switch (c.value) {
      case '\n':
        break;
      case '\\':
      case '\'':
      case '"':
        value += static_cast<char>(c.value);
        break;
      case 'a':
        value += '\a';
        break;
      case 'b':
        value += '\b';
        break;
      case 'f':
        value += '\f';
        break;
      case 'n':
        value += '\n';
        break;
      case 'r':
        value += '\r';
        break;
      case 't':
        value += '\t';
        break;
      case 'v':
        value += '\v';
        break;
      case 'x':
      case 'u':
      case 'U': {
        const auto code = hex(c.value == 'x' ? 2 : c.value == 'u' ? 4 : 8);
        if (!code) {
          return syntax_error(backslash, fmt::format("\\{} needs hexadecimal digits of a character",
                                                     static_cast<char>(c.value)));
        }
        append_utf8(value, *code);
        break;
      }
      case 'N':
        return syntax_error(backslash, "characters by their names (\\N{...}) are not built");
      default:
        if (c.value >= '0' && c.value <= '7') {
          char32_t code = c.value - '0';
          for (int more = 0; more < 2 && i < body.size() && body[i] >= '0' && body[i] <= '7';
               ++more) {
            code = code * 8 + static_cast<char32_t>(body[i++] - '0');
          }
          append_utf8(value, code);
        } else if (c.value >= 0x80) {
          // Jinja turns the character into an escape first, so that the backslash escapes that.
          value += c.value < 0x100     ? fmt::format("\\x{:02x}", std::uint32_t{c.value})
                   : c.value < 0x10000 ? fmt::format("\\u{:04x}", std::uint32_t{c.value})
                                       : fmt::format("\\U{:08x}", std::uint32_t{c.value});
        } else {
          value += '\\';
          value += static_cast<char>(c.value);
        }
    }
  }
  at_ = end + 1;
  return token(TokenType::string, begin, std::move(value));
}

}  // namespace ollm::text::jinja
