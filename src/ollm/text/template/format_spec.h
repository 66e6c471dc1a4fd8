// Numbers and text set into a field: width, fill, sign, precision, grouping, as Python does it.
// Leaves to others: the two ways to write such a specification (`%5.2f` and `{:5.2f}`).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "ollm/base/result.h"
#include "ollm/text/template/marked_text.h"
#include "ollm/text/template/value.h"

namespace ollm::text::jinja {

struct FormatSpec {
  std::string fill = " ";  // one character
  char align = 0;          // < > ^ = or none given
  char sign = 0;           // - + or a space, or none given, which is as -
  bool alternate = false;
  std::size_t width = 0;
  char grouping = 0;  // , or _
  int precision = -1;
  char type = 0;
};

/// Precisions above this are refused: snprintf would write that many digits.
constexpr int kMaxPrecision = 1'000;

/// A number without its field: sign, prefix, digits. `type` is one of d x X o b c, or none.
/// Errors: invalid_argument for types that whole numbers do not have.
Result<std::string> format_whole(std::int64_t value, const FormatSpec& spec);
/// `type` is one of e E f F g G %, or none (repr's digits).
Result<std::string> format_real(double value, const FormatSpec& spec);

/// Puts `text` into the field of `spec`, `default_align` where it names none.
void append_padded(TextBuilder& out, const MarkedText& text, const FormatSpec& spec,
                   char default_align);

/// Appends at most `precision` characters of text (all, where it is negative), padded.
void append_formatted_text(TextBuilder& out, const MarkedText& text, const FormatSpec& spec);

}  // namespace ollm::text::jinja
