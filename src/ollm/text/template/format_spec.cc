#include "ollm/text/template/format_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "ollm/text/template/characters.h"
#include "ollm/text/template/interpreter.h"
#include "ollm/text/template/python_format.h"

namespace ollm::text::jinja {
namespace {

std::string sign_of(bool negative, const FormatSpec& spec) {
  if (negative) return "-";
  return spec.sign == '+' || spec.sign == ' ' ? std::string(1, spec.sign) : "";
}

std::string grouped(std::string_view digits, char separator, std::size_t size) {
  std::string out;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % size == 0) out += separator;
    out += digits[i];
  }
  return out;
}

// `{:012,}`: zeros before the digits are grouped with them, and no group is cut.
std::string zero_filled(std::string digits, std::string_view rest, std::size_t taken,
                        const FormatSpec& spec, std::size_t group) {
  std::string out = grouped(digits, spec.grouping, group);
  while (taken + out.size() + rest.size() < spec.width && spec.width <= kMaxPrecision) {
    digits.insert(digits.begin(), '0');
    out = grouped(digits, spec.grouping, group);
  }
  return out;
}

bool fills_with_zeros(const FormatSpec& spec) { return spec.align == '=' && spec.fill == "0"; }

std::string real_digits(double magnitude, int precision, char conversion, bool alternate) {
  const std::string format = fmt::format("%{}.*{}", alternate ? "#" : "", conversion);
  char buffer[kMaxPrecision + 400];  // the largest double has 309 digits before the point
  const int size = std::snprintf(buffer, sizeof buffer, format.c_str(), precision, magnitude);
  return std::string(buffer, static_cast<std::size_t>(std::max(size, 0)));
}

}  // namespace

Result<std::string> format_whole(std::int64_t value, const FormatSpec& spec) {
  const bool negative = value < 0;
  const std::uint64_t magnitude =
      negative ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
  std::string digits;
  std::string prefix;
  std::size_t group = 3;
  switch (spec.type) {
    case 0:
    case 'd':
    case 'n':
      digits = fmt::format("{}", magnitude);
      break;
    case 'x':
      digits = fmt::format("{:x}", magnitude);
      prefix = "0x";
      group = 4;
      break;
    case 'X':
      digits = fmt::format("{:X}", magnitude);
      prefix = "0X";
      group = 4;
      break;
    case 'o':
      digits = fmt::format("{:o}", magnitude);
      prefix = "0o";
      group = 4;
      break;
    case 'b':
      digits = fmt::format("{:b}", magnitude);
      prefix = "0b";
      group = 4;
      break;
    case 'c':
      if (negative || magnitude > 0x10FFFF || (magnitude >= 0xD800 && magnitude < 0xE000)) {
        return runtime_error("%c arg not in range(0x110000)");
      }
      append_utf8(digits, static_cast<char32_t>(magnitude));
      return digits;
    default:
      return runtime_error(
          fmt::format("Unknown format code '{}' for object of type 'int'", spec.type));
  }
  const std::string sign = sign_of(negative, spec) + (spec.alternate ? prefix : "");
  if (spec.grouping != 0) {
    digits = fills_with_zeros(spec) ? zero_filled(digits, "", sign.size(), spec, group)
                                    : grouped(digits, spec.grouping, group);
  }
  return sign + digits;
}

Result<std::string> format_real(double value, const FormatSpec& spec) {
  if (spec.precision > kMaxPrecision) {
    return fail(ErrorKind::unsupported,
                fmt::format("a precision of {}, above {}", spec.precision, kMaxPrecision));
  }
  const bool negative = std::signbit(value) && !std::isnan(value);
  const double magnitude = std::fabs(value);
  char type = spec.type;
  const bool capital = type == 'E' || type == 'F' || type == 'G';
  std::string digits;
  if (!std::isfinite(magnitude)) {
    digits = std::isnan(magnitude) ? "nan" : "inf";
    if (capital) digits = std::isnan(magnitude) ? "NAN" : "INF";
    if (type == '%') digits += '%';
    return sign_of(negative, spec) + digits;
  }
  int precision = spec.precision < 0 ? 6 : spec.precision;
  switch (type) {
    case 0:
      if (spec.precision < 0) {
        digits = real_repr(magnitude);
      } else {
        // As `g`, yet with at least one digit after the point where there is no exponent.
        digits = real_digits(magnitude, std::max(precision, 1), 'g', spec.alternate);
        if (digits.find_first_of(".e") == std::string::npos) {
          digits = digits.size() >= static_cast<std::size_t>(std::max(precision, 1))
                       ? real_digits(magnitude, std::max(precision - 1, 0), 'e', spec.alternate)
                       : digits + ".0";
        }
      }
      break;
    case 'n':
      digits = real_digits(magnitude, precision, 'g', spec.alternate);
      break;
    case '%':
      digits = real_digits(magnitude * 100, precision, 'f', spec.alternate) + '%';
      break;
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
      digits = real_digits(magnitude, precision, type, spec.alternate);
      break;
    default:
      return runtime_error(
          fmt::format("Unknown format code '{}' for object of type 'float'", type));
  }
  const std::string sign = sign_of(negative, spec);
  if (spec.grouping != 0) {
    const std::size_t whole = std::min(digits.find_first_not_of("0123456789"), digits.size());
    const std::string rest = digits.substr(whole);
    const std::string before = digits.substr(0, whole);
    digits = (fills_with_zeros(spec) ? zero_filled(before, rest, sign.size(), spec, 3)
                                     : grouped(before, spec.grouping, 3)) +
             rest;
  }
  return sign + digits;
}

void append_padded(TextBuilder& out, const MarkedText& text, const FormatSpec& spec,
                   char default_align) {
  const std::size_t size = count_code_points(text.bytes);
  const std::size_t missing = spec.width > size ? spec.width - size : 0;
  const char align = spec.align == 0 ? default_align : spec.align;
  std::size_t before = 0;
  std::size_t digits_from = 0;
  if (align == '>') before = missing;
  if (align == '^') before = missing / 2;
  if (align == '=') {  // the fill goes between the sign or prefix and the digits
    if (!text.bytes.empty() &&
        (text.bytes[0] == '-' || text.bytes[0] == '+' || text.bytes[0] == ' ')) {
      digits_from = 1;
    }
    if (spec.alternate && text.bytes.size() > digits_from + 1 &&
        std::string_view("xXob").find(text.bytes[digits_from + 1]) != std::string_view::npos) {
      digits_from += 2;
    }
    out.append(text, 0, digits_from);
    before = missing;
  }
  out.append_repeated(spec.fill, before);
  out.append(text, digits_from, text.bytes.size());
  out.append_repeated(spec.fill, missing - before);
}

void append_formatted_text(TextBuilder& out, const MarkedText& text, const FormatSpec& spec) {
  if (spec.precision < 0) {
    append_padded(out, text, spec, '<');
    return;
  }
  const std::size_t end = byte_offset_of(text.bytes, static_cast<std::size_t>(spec.precision));
  TextBuilder cut(text.bytes.size());
  cut.append(text, 0, end);
  append_padded(out, cut.text(), spec, '<');
}

}  // namespace ollm::text::jinja
