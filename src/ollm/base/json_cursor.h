// A strict JSON scanner over a text in memory, piece by piece and without allocating: for documents
// whose shape is known (safetensors headers, shard indexes) and under the values of json_reader.h.
// Leaves to others: what the pieces mean, duplicate keys, limits on counts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "ollm/base/result.h"

namespace ollm {

/// Walks over a JSON text once, from front to back.
///
/// Ours rather than simdjson, as that wants five times the text for itself, keeps duplicate keys
/// and does not tell where an error lies; a header of 100 MB may cost three times its size in all.
///
/// Borrows the text and writes into it: escapes of a string are decoded where they stand (the
/// result is never longer). The text has to be UTF-8 (`check_utf8`). All errors are corrupt and
/// read "byte 123: expected ..., found ...".
class JsonCursor {
 public:
  JsonCursor(char* text, std::size_t size) : text_(text), size_(size) {}
  explicit JsonCursor(std::string& text) : JsonCursor(text.data(), text.size()) {}

  /// Bytes walked over so far.
  std::size_t position() const { return at_; }

  /// The first byte of the next token (white space is walked over), or 0 at the end: a NUL byte is
  /// no token either.
  char peek();
  /// Walks over `token` if it comes next.
  bool take(char token);
  /// Walks over `token`, or says that `what` was expected: expect('{', "an object").
  Result<void> expect(char token, std::string_view what);

  /// The decoded characters of a string, in the text. Refuses bare control characters, unknown
  /// escapes and lone surrogates.
  Result<std::string_view> string(std::string_view what);
  /// An integer of 0 to 2^64 - 1, without sign, fraction, exponent or leading zero.
  Result<std::uint64_t> natural(std::string_view what);
  /// The characters of any number in the grammar of JSON.
  Result<std::string_view> number();
  /// Walks over a word (true, false, null) if it comes next.
  bool word(std::string_view word);
  /// Walks over any value, nested at most `depth` deep, checking its grammar; NaN and Infinity as
  /// Python writes them are values too.
  Result<void> skip_value(std::size_t depth);

  /// The members of an object or the items of a list: `more` tells whether another one follows and
  /// walks over the comma before it, or over the closing `end`.
  ///
  ///     OLLM_TRY_VOID(cursor.expect('{', "an object"));
  ///     for (bool first = true;; first = false) {
  ///       OLLM_TRY(const bool another, cursor.more('}', first));
  ///       if (!another) break;
  ///       OLLM_TRY(const std::string_view key, cursor.key());
  Result<bool> more(char end, bool first);
  /// The key of a member and the colon behind it.
  Result<std::string_view> key();

  /// Errors where the cursor stands. `expected` adds what was found there.
  Error error(std::string_view message) const;
  Error expected(std::string_view what);

 private:
  void skip_space();
  Result<void> decode_escape(std::size_t& write);
  Result<std::uint32_t> hex4();

  char* text_;
  std::size_t size_;
  std::size_t at_ = 0;
};

/// Errors: corrupt, naming the first byte that is not UTF-8.
Result<void> check_utf8(std::string_view text);

/// What Python's json writes for numbers that JSON does not have.
inline constexpr std::string_view kPythonNumbers[] = {"NaN", "Infinity", "-Infinity"};

/// U+FEFF in front of a text.
inline constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

/// A byte order mark, which some editors write in front of a text, becomes three spaces: offsets
/// in messages stay those of the file.
void blank_byte_order_mark(std::string& text);

/// A text from outside for a message: what could steer a terminal (control characters, C1 among
/// them, and marks that turn the direction of writing) and bytes that are not UTF-8 as '?'.
std::string printable(std::string_view text);

/// A name from outside for a message: in single quotes, printable, at most 120 bytes of it.
std::string quote_name(std::string_view name);

}  // namespace ollm
