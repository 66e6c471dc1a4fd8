// Properties from utf8proc's table, and normal forms made piece by piece (unicode.h).
// Leaves out locale: lower case is the same everywhere.
#include "ollm/text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>
#include <string_view>
#include <vector>

#include "ollm/base/check.h"
#include "ollm/text/unicode_newer.h"
#include "ollm/text/utf8.h"

namespace ollm::text::unicode {
namespace {

using Codepoint32 = utf8proc_int32_t;

const utf8proc_property_t& property(char32_t c) {
  return *utf8proc_get_property(static_cast<Codepoint32>(c));
}

int category(char32_t c) { return property(c).category; }

constexpr int kMark = 1;
constexpr int kNonspacing = 2;
constexpr int kOther = 4;
constexpr int kPunctuation = 8;
constexpr int kNormalForm = 16;  // decomposes, composes with one before it, or has a class of marks

struct Exception {
  char32_t first;
  char32_t last;
  int questions;
};

constexpr Exception kExceptions[] = {
#include "ollm/text/unicode_exceptions_table.inc"
};

// Whether the answer to `question` is the other one.
bool is_exception(char32_t c, int question) {
  const auto* found =
      std::lower_bound(std::begin(kExceptions), std::end(kExceptions), c,
                       [](const Exception& range, char32_t wanted) { return range.last < wanted; });
  return found != std::end(kExceptions) && found->first <= c && (found->questions & question) != 0;
}

constexpr std::uint16_t kNone = UINT16_MAX;

utf8proc_option_t options_of(NormalizationForm form) {
  switch (form) {
    case NormalizationForm::nfc:
      return static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    case NormalizationForm::nfd:
      return static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE);
    case NormalizationForm::nfkc:
      return static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
    case NormalizationForm::nfkd:
      return static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT);
  }
  return UTF8PROC_STABLE;
}

constexpr bool is_hangul_vowel_or_tail(char32_t c) { return c >= 0x1160 && c <= 0x11FF; }
constexpr bool is_hangul_syllable(char32_t c) { return c >= 0xAC00 && c <= 0xD7A3; }

int combining_class(char32_t c) {
  const int found = property(c).combining_class;
  return found == 0 || is_exception(c, kNormalForm) ? 0 : found;
}

bool has_decomposition(char32_t c) {
  return property(c).decomp_seqindex != kNone && !is_exception(c, kNormalForm);
}

// Whether a decomposed character may begin a piece: nothing before it reorders with it or composes
// with it.
bool starts_piece(char32_t c) {
  const utf8proc_property_t& p = property(c);
  const bool second_of_pair = p.comb_index != kNone && (p.comb_index & 0x8000) != 0;
  if (p.combining_class == 0 && !second_of_pair) return !is_hangul_vowel_or_tail(c);
  return is_exception(c, kNormalForm);
}

bool begins_independent(char32_t c) {
  if (c < 0x300) return true;  // no mark, and nothing composes with these as its second
  if (!starts_piece(c)) return false;
  if (!has_decomposition(c)) return true;
  // A character that decomposes counts by what it becomes first; compatibility forms too, which at
  // worst joins two pieces of NFC that could have stood alone.
  std::array<Codepoint32, 32> parts{};
  int boundary = 0;
  const auto count = utf8proc_decompose_char(
      static_cast<Codepoint32>(c), parts.data(), static_cast<utf8proc_ssize_t>(parts.size()),
      static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT), &boundary);
  return count > 0 && starts_piece(static_cast<char32_t>(parts[0]));
}

// Whether a character that stands alone in its piece is its own normal form.
bool is_stable_alone(char32_t c) { return !has_decomposition(c) && !is_hangul_syllable(c); }

// The canonical order of marks. utf8proc_decompose orders by swapping neighbours, which takes the
// square of the length on a long run of mixed marks.
void sort_marks(std::vector<Codepoint32>& text) {
  const auto ccc = [](Codepoint32 c) { return combining_class(static_cast<char32_t>(c)); };
  for (auto at = text.begin(); at != text.end();) {
    const auto first = std::find_if(at, text.end(), [&](Codepoint32 c) { return ccc(c) != 0; });
    at = std::find_if(first, text.end(), [&](Codepoint32 c) { return ccc(c) == 0; });
    std::stable_sort(first, at, [&](Codepoint32 a, Codepoint32 b) { return ccc(a) < ccc(b); });
  }
}

}  // namespace

bool is_white_space(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 0x09 && c <= 0x0D);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_numeric(char32_t c) {
  if (c < 0x80) return c >= '0' && c <= '9';
  const int k = category(c);
  return k == UTF8PROC_CATEGORY_ND || k == UTF8PROC_CATEGORY_NL || k == UTF8PROC_CATEGORY_NO ||
         (k == UTF8PROC_CATEGORY_CN && is_newer_number(c));
}

bool is_mark(char32_t c) {
  if (c < 0x300) return false;
  const int k = category(c);
  const bool mark =
      k == UTF8PROC_CATEGORY_MN || k == UTF8PROC_CATEGORY_MC || k == UTF8PROC_CATEGORY_ME;
  return mark != is_exception(c, kMark);
}

bool is_nonspacing_mark(char32_t c) {
  return c >= 0x300 && (category(c) == UTF8PROC_CATEGORY_MN) != is_exception(c, kNonspacing);
}

bool is_other(char32_t c) {
  if (c < 0x80) return c < 0x20 || c == 0x7F;
  const int k = category(c);
  const bool other = k == UTF8PROC_CATEGORY_CC || k == UTF8PROC_CATEGORY_CF ||
                     k == UTF8PROC_CATEGORY_CS || k == UTF8PROC_CATEGORY_CO;
  return other != is_exception(c, kOther);
}

bool is_punctuation(char32_t c) {
  if (c < 0x80) {
    return (c >= 0x21 && c <= 0x2F) || (c >= 0x3A && c <= 0x40) || (c >= 0x5B && c <= 0x60) ||
           (c >= 0x7B && c <= 0x7E);
  }
  const int k = category(c);
  const bool punctuation = k >= UTF8PROC_CATEGORY_PC && k <= UTF8PROC_CATEGORY_PO;
  return punctuation != is_exception(c, kPunctuation);
}

bool is_word(char32_t c) {
  if (c < 0x80) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  }
  const int k = category(c);
  if (k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_ME) return true;  // L*, M*
  if (k == UTF8PROC_CATEGORY_ND || k == UTF8PROC_CATEGORY_NL || k == UTF8PROC_CATEGORY_PC) {
    return true;
  }
  if (k == UTF8PROC_CATEGORY_CN) {
    const std::string_view newer = newer_category(c);
    return newer.starts_with('L') || newer.starts_with('M') || newer == "Nd" || newer == "Pc";
  }
  // Join_Control, and the symbols that are Alphabetic: circled, squared and framed Latin letters.
  return c == 0x200C || c == 0x200D || (c >= 0x24B6 && c <= 0x24E9) ||
         (c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) ||
         (c >= 0x1F170 && c <= 0x1F189);
}

void append_lower(std::string& out, char32_t c) {
  if (c < 0x80) {
    out.push_back(static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c));
  } else if (c == 0x130) {
    out += "i\xCC\x87";  // the one character whose lower case is two (SpecialCasing.txt)
  } else {
    const auto lower = static_cast<char32_t>(utf8proc_tolower(static_cast<Codepoint32>(c)));
    append_utf8(out, lower == c ? newer_lower(c) : lower);
  }
}

std::size_t independent_prefix(std::string_view text) {
  std::size_t at = 0;
  next_code_point(text, at);
  while (at < text.size()) {
    std::size_t next = at;
    if (begins_independent(next_code_point(text, next))) break;
    at = next;
  }
  return at;
}

void append_normalized(std::string& out, std::string_view text, NormalizationForm form) {
  if (text.empty()) return;
  std::size_t at = 0;
  const char32_t first = next_code_point(text, at);
  if (at == text.size() && is_stable_alone(first)) {
    out += text;
    return;
  }
  const utf8proc_option_t options = options_of(form);
  std::vector<Codepoint32> buffer;
  std::array<Codepoint32, 32> parts{};  // Unicode's longest decomposition has 18
  int boundary = 0;
  for (at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    if (is_stable_alone(c)) {
      buffer.push_back(static_cast<Codepoint32>(c));
      continue;
    }
    const auto made =
        utf8proc_decompose_char(static_cast<Codepoint32>(c), parts.data(),
                                static_cast<utf8proc_ssize_t>(parts.size()), options, &boundary);
    OLLM_CHECK(made >= 0 && made <= static_cast<utf8proc_ssize_t>(parts.size()));
    buffer.insert(buffer.end(), parts.begin(), parts.begin() + made);
  }
  sort_marks(buffer);
  auto count = static_cast<utf8proc_ssize_t>(buffer.size());
  if (form == NormalizationForm::nfc || form == NormalizationForm::nfkc) {
    count = utf8proc_normalize_utf32(buffer.data(), count, options);
  }
  for (utf8proc_ssize_t i = 0; i < count; ++i) {
    append_utf8(out, static_cast<char32_t>(buffer[static_cast<std::size_t>(i)]));
  }
}

}  // namespace ollm::text::unicode
