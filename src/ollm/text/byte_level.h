// The alphabet of byte-level vocabularies: one printable character for each of the 256 bytes.
// Leaves splitting into words to the pre-tokenizer and looking tokens up to the model.
// Source: OpenAI's GPT-2 encoder.py, bytes_to_unicode.
#pragma once

#include <string>
#include <string_view>

namespace ollm::text::byte_level {

/// The UTF-8 form (1 or 2 bytes) of the character that stands for `byte`: itself for printable
/// Latin-1, else one from U+0100 on.
std::string_view char_of(unsigned char byte);

/// The byte that a code point stands for, or -1.
int byte_of(char32_t c);

/// Appends `bytes` written in the alphabet.
void append_encoded(std::string& out, std::string_view bytes);

/// Appends the bytes that `token` (valid UTF-8) stands for; the token itself where a character of
/// it is not of the alphabet.
void append_decoded(std::string& out, std::string_view token);

}  // namespace ollm::text::byte_level
