// Turns a pattern in Oniguruma's syntax, as tokenizer.json has it, into one for PCRE2 that matches
// the same. Leaves compiling and matching to regex.h.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "ollm/base/result.h"

namespace ollm::text {

inline constexpr std::size_t kMaxPatternBytes = 64 * 1024;  // the longest published: some 600
inline constexpr int kMaxPatternDepth = 100;                // of nested sets

/// The PCRE2 pattern (for UTF, UCP, MULTILINE, newline LF) that matches what Oniguruma matches.
///
/// The differences that are translated:
///   ^ $           match at every line                  MULTILINE
///   (?m)          lets the dot match a newline         (?s)
///   \w \s \d \h   word (Alphabetic, M, Nd, Pc, and ² ³ ¹ ¼ ½ ¾), White_Space, Nd, hexadecimal
///   digit
///   \b \B         borders of that \w
///   \O \N         any character, any but newline
///   \uHHHH        a code point; \pL without braces, \Q, \E are plain letters
///   [..&&..]      intersection of sets; [a[bc]] union; [[:punct:]] is P and S
///   (?i) in a set with \p{Lu} and the like also takes the other case
///   x{n,m}+       a repeat of the repeat, not a possessive one; x{,m}; x{n}? is optional x{n}
///   x**, x+?*     a repeat of a repeat
///   \p{^..}, names of scripts (Script, where PCRE2 takes Script_Extensions) and of categories
///
/// Errors: corrupt for what Oniguruma refuses too, naming the byte; unsupported for absent
/// operators, text segment borders, (?W), (?D), (?S), (?P) and conditions.
/// Not translated: case folding to several characters, (?i:ss) matching ß.
Result<std::string> translate_oniguruma(std::string_view pattern);

}  // namespace ollm::text
