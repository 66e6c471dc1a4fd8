// Code points that Unicode 15.0 to 17.0 added, which PCRE2 10.42 (14.0) or utf8proc 2.8 (15.0) does
// not know. Leaves everything older to those two.
#pragma once

#include <string>
#include <string_view>

namespace ollm::text::unicode {

/// The general category, such as "Lo", of a code point that is newer than Unicode 14.0; else "".
std::string_view newer_category(char32_t c);

/// The newer code points of a property, as ranges to stand inside a set of PCRE2: of a general
/// category ("L", "Lu"), or of "alphabetic", "lowercase", "uppercase", "sc:han". Others give "".
std::string newer_ranges(std::string_view property);

/// Whether a code point that is newer than Unicode 14.0 is a number, those of 17.0 among them,
/// which patterns do not know.
bool is_newer_number(char32_t c);

/// The lower case of an upper case letter that is newer than Unicode 15.0; else `c`.
char32_t newer_lower(char32_t c);

}  // namespace ollm::text::unicode
