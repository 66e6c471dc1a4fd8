// Code points that Unicode 15.0, 15.1 and 16.0 added, which neither PCRE2 10.42 nor utf8proc 2.8
// know. Leaves everything older to those two.
#pragma once

#include <string>
#include <string_view>

namespace ollm::text::unicode {

/// The general category, such as "Lo", of a code point that is newer than Unicode 14.0; else "".
std::string_view newer_category(char32_t c);

/// The newer code points of a property, as ranges to stand inside a set of PCRE2: of a general
/// category ("L", "Lu"), or of "alphabetic", "lowercase", "uppercase", "sc:han". Others give "".
std::string newer_ranges(std::string_view property);

}  // namespace ollm::text::unicode
