// What a code point is: white space, categories, word characters, lower case; and normalization
// forms. Leaves UTF-8 itself to utf8.h and patterns to regex.h.
//
// Unicode 15.0 as utf8proc 2.8 has it, with tables that make the answers those of the Hugging Face
// library, whose parts know Unicode 8, 9 (normal forms too), 16 and 17 (lower case) for these
// questions (unicode_exceptions_table, unicode_newer.h).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ollm::text::unicode {

/// White_Space: U+0009 to U+000D, U+0020, U+0085, U+00A0, U+1680, U+2000 to U+200A, U+2028, U+2029,
/// U+202F, U+205F, U+3000.
bool is_white_space(char32_t c);

bool is_numeric(char32_t c);          // Nd, Nl, No
bool is_mark(char32_t c);             // Mn, Mc, Me, as StripAccents counts them
bool is_nonspacing_mark(char32_t c);  // Mn, as BertNormalizer counts them
bool is_other(char32_t c);            // Cc, Cf, Cs, Co: what BERT calls control characters
bool is_punctuation(char32_t c);      // P*, and the ASCII symbols $ + < = > ^ ` | ~

/// A character of a word as regular expressions of Unicode TR18 have it: Alphabetic, M, Nd, Pc,
/// Join_Control.
bool is_word(char32_t c);

/// Appends the full lower case mapping (U+0130 becomes two code points; no context, no locale).
void append_lower(std::string& out, char32_t c);

enum class NormalizationForm { nfc, nfd, nfkc, nfkd };

/// The bytes at the start of `text` (valid UTF-8, not empty) that normalize independently of what
/// follows them, in each form: the normal form of `text` is that of this part, then of the rest.
std::size_t independent_prefix(std::string_view text);

/// Appends the normal form of `text`, one part that independent_prefix found.
void append_normalized(std::string& out, std::string_view text, NormalizationForm form);

}  // namespace ollm::text::unicode
