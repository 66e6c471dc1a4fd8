// What Python's str knows of characters: decoding, classes, and full case mapping.
// Leaves to others: the methods and filters that are made of it. The tables behind it are those of
// utf8proc (Unicode 15) and of SpecialCasing.txt.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ollm::text::jinja {

/// One decoded character and how many bytes it took (0 at the end of the text).
struct CodePoint {
  char32_t value = 0;
  std::size_t size = 0;
};

/// The character at byte `offset`. A byte that begins none counts as one character, U+FFFD.
CodePoint decode_at(std::string_view text, std::size_t offset);
/// The character that ends before byte `offset`.
CodePoint decode_before(std::string_view text, std::size_t offset);
void append_utf8(std::string& out, char32_t code_point);

bool is_valid_utf8(std::string_view text);
/// `text` with every ill-formed sequence replaced by U+FFFD.
std::string replace_invalid_utf8(std::string_view text);

std::size_t count_code_points(std::string_view text);
/// The byte at which character `index` begins; the size of `text` where it has no more characters.
std::size_t byte_offset_of(std::string_view text, std::size_t index);

/// Python's str.isspace and friends, for one character.
bool is_space(char32_t c);
bool is_printable(char32_t c);
bool is_alpha(char32_t c);
bool is_decimal(char32_t c);
bool is_digit(char32_t c);
bool is_numeric(char32_t c);
bool is_lower(char32_t c);
bool is_upper(char32_t c);
bool is_title(char32_t c);
bool is_cased(char32_t c);
/// Where Python's re takes it for `\w`: letters, digits and the underscore.
bool is_word(char32_t c);
/// Whether str.splitlines ends a line there.
bool is_line_break(char32_t c);
/// str.isidentifier for a whole name; ASCII, and letters beyond.
bool is_identifier(std::string_view name);

/// Full case mapping: one character may become up to three.
void append_upper(std::string& out, char32_t c);
void append_title(std::string& out, char32_t c);
void append_casefold(std::string& out, char32_t c);
/// `text` is where the character stands: a capital sigma at the end of a word has its own form.
void append_lower(std::string& out, std::string_view text, std::size_t offset, char32_t c);

/// Where `wanted` first occurs at or after `from`, or npos. Time is linear whatever both hold,
/// which std::string::find does not promise.
std::size_t find_text(std::string_view text, std::string_view wanted, std::size_t from = 0);

}  // namespace ollm::text::jinja
