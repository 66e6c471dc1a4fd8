#include "ollm/text/template/characters.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstring>
#include <iterator>

#include "ollm/text/template/characters_tables.inc"

namespace ollm::text::jinja {
namespace {

constexpr char32_t kReplacement = 0xFFFD;

template <std::size_t N>
bool contains(const Range (&ranges)[N], char32_t c) {
  const Range* after = std::upper_bound(std::begin(ranges), std::end(ranges), c,
                                        [](char32_t v, const Range& r) { return v < r.first; });
  return after != std::begin(ranges) && c <= std::prev(after)->last;
}

template <std::size_t N>
const char* expansion(const Expansion (&table)[N], char32_t c) {
  const Expansion* found =
      std::lower_bound(std::begin(table), std::end(table), c,
                       [](const Expansion& e, char32_t v) { return e.from < v; });
  return found != std::end(table) && found->from == c ? found->to : nullptr;
}

utf8proc_category_t category(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

// Not letters, but looked through when a word's end is sought (Unicode, section 3.13: Final_Sigma).
bool is_case_ignorable(char32_t c) {
  switch (category(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
      return true;
    default:
      return c == '\'' || c == '.' || c == ':' || c == 0xB7 || c == 0x2019 || c == 0x2018 ||
             c == 0x2024 || c == 0x2027;
  }
}

bool is_final_sigma(std::string_view text, std::size_t offset) {
  std::size_t before = offset;
  bool cased_before = false;
  while (before > 0) {
    const CodePoint c = decode_before(text, before);
    before -= c.size;
    if (is_case_ignorable(c.value)) continue;
    cased_before = is_cased(c.value);
    break;
  }
  if (!cased_before) return false;
  for (std::size_t after = offset + 2; after < text.size();) {
    const CodePoint c = decode_at(text, after);
    after += c.size;
    if (is_case_ignorable(c.value)) continue;
    return !is_cased(c.value);
  }
  return true;
}

}  // namespace

CodePoint decode_at(std::string_view text, std::size_t offset) {
  if (offset >= text.size()) return {};
  const auto first = static_cast<unsigned char>(text[offset]);
  if (first < 0x80) return {first, 1};
  utf8proc_int32_t value = -1;
  const utf8proc_ssize_t size = utf8proc_iterate(
      reinterpret_cast<const utf8proc_uint8_t*>(text.data() + offset),
      static_cast<utf8proc_ssize_t>(std::min<std::size_t>(4, text.size() - offset)), &value);
  if (size <= 0 || value < 0) return {kReplacement, 1};
  return {static_cast<char32_t>(value), static_cast<std::size_t>(size)};
}

CodePoint decode_before(std::string_view text, std::size_t offset) {
  if (offset == 0) return {};
  for (std::size_t back = 1; back <= std::min<std::size_t>(4, offset); ++back) {
    if ((static_cast<unsigned char>(text[offset - back]) & 0xC0) == 0x80) continue;
    const CodePoint c = decode_at(text.substr(0, offset), offset - back);
    if (c.size == back) return c;
    break;
  }
  return {kReplacement, 1};
}

void append_utf8(std::string& out, char32_t code_point) {
  utf8proc_uint8_t bytes[4];
  const utf8proc_ssize_t size =
      utf8proc_encode_char(static_cast<utf8proc_int32_t>(code_point), bytes);
  out.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
}

bool is_valid_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    if (static_cast<unsigned char>(text[i]) < 0x80) {
      ++i;
      continue;
    }
    const CodePoint c = decode_at(text, i);
    if (c.size == 1) return false;
    i += c.size;
  }
  return true;
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const CodePoint c = decode_at(text, i);
    append_utf8(out, c.value);
    i += c.size;
  }
  return out;
}

std::size_t count_code_points(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char byte) {
    return (static_cast<unsigned char>(byte) & 0xC0) != 0x80;
  }));
}

std::size_t byte_offset_of(std::string_view text, std::size_t index) {
  std::size_t offset = 0;
  for (; index > 0 && offset < text.size(); --index) {
    ++offset;
    while (offset < text.size() && (static_cast<unsigned char>(text[offset]) & 0xC0) == 0x80) {
      ++offset;
    }
  }
  return offset;
}

bool is_space(char32_t c) {
  return (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool is_printable(char32_t c) {
  if (c < 0x7F) return c >= 0x20;
  switch (category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

bool is_alpha(char32_t c) {
  const utf8proc_category_t is = category(c);
  return is >= UTF8PROC_CATEGORY_LU && is <= UTF8PROC_CATEGORY_LO;
}

bool is_decimal(char32_t c) { return category(c) == UTF8PROC_CATEGORY_ND; }

bool is_digit(char32_t c) { return is_decimal(c) || contains(kDigitsBeyondDecimal, c); }

bool is_numeric(char32_t c) {
  const utf8proc_category_t is = category(c);
  return (is >= UTF8PROC_CATEGORY_ND && is <= UTF8PROC_CATEGORY_NO) ||
         contains(kNumericIdeographs, c);
}

bool is_lower(char32_t c) {
  return category(c) == UTF8PROC_CATEGORY_LL || contains(kOtherLowercase, c);
}

bool is_upper(char32_t c) {
  return category(c) == UTF8PROC_CATEGORY_LU || contains(kOtherUppercase, c);
}

bool is_title(char32_t c) { return category(c) == UTF8PROC_CATEGORY_LT; }

bool is_cased(char32_t c) { return is_lower(c) || is_upper(c) || is_title(c); }

bool is_word(char32_t c) { return c == '_' || is_alpha(c) || is_numeric(c); }

bool is_line_break(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

bool is_identifier(std::string_view name) {
  for (std::size_t i = 0; i < name.size();) {
    const CodePoint c = decode_at(name, i);
    const utf8proc_category_t is = category(c.value);
    const bool goes_on = is == UTF8PROC_CATEGORY_MN || is == UTF8PROC_CATEGORY_MC ||
                         is == UTF8PROC_CATEGORY_ND || is == UTF8PROC_CATEGORY_PC;
    const bool begins = c.value == '_' || is_alpha(c.value) || is == UTF8PROC_CATEGORY_NL;
    if (!begins && (i == 0 || !goes_on)) return false;
    i += c.size;
  }
  return !name.empty();
}

void append_upper(std::string& out, char32_t c) {
  if (const char* more = expansion(kUpper, c)) {
    out += more;
  } else {
    append_utf8(out, static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c))));
  }
}

void append_title(std::string& out, char32_t c) {
  if (const char* more = expansion(kTitle, c)) {
    out += more;
  } else {
    append_utf8(out, static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(c))));
  }
}

void append_casefold(std::string& out, char32_t c) {
  utf8proc_int32_t folded[8];
  int boundary = 0;
  const utf8proc_ssize_t count =
      utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), folded, 8,
                              static_cast<utf8proc_option_t>(UTF8PROC_CASEFOLD), &boundary);
  for (utf8proc_ssize_t i = 0; i < std::min<utf8proc_ssize_t>(count, 8); ++i) {
    append_utf8(out, static_cast<char32_t>(folded[i]));
  }
}

void append_lower(std::string& out, std::string_view text, std::size_t offset, char32_t c) {
  if (c == 0x130) {  // capital I with a dot above: the only one whose small form is two characters
    out += "i\xCC\x87";
  } else if (c == 0x3A3 && is_final_sigma(text, offset)) {
    out += "\xCF\x82";
  } else {
    append_utf8(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
  }
}

std::size_t find_text(std::string_view text, std::string_view wanted, std::size_t from) {
  if (from > text.size()) return std::string_view::npos;
  if (wanted.empty()) return from;
  const void* found = memmem(text.data() + from, text.size() - from, wanted.data(), wanted.size());
  if (found == nullptr) return std::string_view::npos;
  return static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
}

}  // namespace ollm::text::jinja
