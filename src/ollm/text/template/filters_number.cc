// Filters that make numbers: abs, int, float, round, filesizeformat.
// Leaves to others: arithmetic (operators.h) and how numbers print (python_format.h).
#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstdio>
#include <limits>
#include <optional>

#include "ollm/text/template/arguments.h"
#include "ollm/text/template/characters.h"
#include "ollm/text/template/filters.h"
#include "ollm/text/template/operators.h"

namespace ollm::text::jinja {
namespace {

// Without white space at the ends and single underscores between digits, as Python reads numbers;
// nothing where an underscore stands elsewhere, or the text is too long for any number.
std::optional<std::string> number_text(std::string_view text) {
  constexpr std::size_t kLongestNumber = 1'000;
  while (!text.empty() && is_space(decode_at(text, 0).value)) {
    text.remove_prefix(decode_at(text, 0).size);
  }
  while (!text.empty() && is_space(decode_before(text, text.size()).value)) {
    text.remove_suffix(decode_before(text, text.size()).size);
  }
  if (text.empty() || text.size() > kLongestNumber) return std::nullopt;
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out += text[i];
      continue;
    }
    const auto is_alphanumeric = [&](std::size_t at) {
      return at < text.size() && std::isalnum(static_cast<unsigned char>(text[at])) != 0;
    };
    if (i == 0 || !is_alphanumeric(i - 1) || !is_alphanumeric(i + 1)) return std::nullopt;
  }
  return out;
}

struct ParsedWhole {
  bool valid = false;
  bool too_big = false;
  std::int64_t value = 0;
};

ParsedWhole parse_whole(std::string_view given, std::int64_t base) {
  const auto text = number_text(given);
  if (!text || (base != 0 && (base < 2 || base > 36))) return {};
  std::string_view digits = *text;
  const bool negative = digits.starts_with('-');
  if (negative || digits.starts_with('+')) digits.remove_prefix(1);
  const auto prefix_base = [&]() -> std::int64_t {
    if (digits.size() < 3 || digits[0] != '0') return 0;
    switch (digits[1]) {
      case 'x':
      case 'X':
        return 16;
      case 'o':
      case 'O':
        return 8;
      case 'b':
      case 'B':
        return 2;
      default:
        return 0;
    }
  }();
  if (prefix_base != 0 && (base == 0 || base == prefix_base)) {
    digits.remove_prefix(2);
    base = prefix_base;
  } else if (base == 0) {
    base = 10;
    if (digits.size() > 1 && digits[0] == '0') {
      if (digits.find_first_not_of('0') != std::string_view::npos) return {};
    }
  }
  if (digits.empty()) return {};
  std::uint64_t magnitude = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), magnitude,
                                            static_cast<int>(base));
  if (end != digits.data() + digits.size() || error == std::errc::invalid_argument) return {};
  const std::uint64_t most = std::uint64_t{std::numeric_limits<std::int64_t>::max()} + negative;
  if (error == std::errc::result_out_of_range || magnitude > most) {
    return {.valid = true, .too_big = true};
  }
  return {.valid = true, .value = static_cast<std::int64_t>(negative ? 0 - magnitude : magnitude)};
}

std::optional<double> parse_real(std::string_view given) {
  const auto text = number_text(given);
  if (!text) return std::nullopt;
  std::string_view digits = *text;
  if (digits.starts_with('+')) digits.remove_prefix(1);
  if (digits.starts_with('+')) return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (end != digits.data() + digits.size()) return std::nullopt;
  if (error == std::errc::invalid_argument) return std::nullopt;
  if (error == std::errc::result_out_of_range)
    value = std::strtod(std::string(digits).c_str(), nullptr);
  return value;
}

Error beyond_64_bits() { return runtime_error("an integer beyond 64 bits"); }

Result<Value> truncated(double value) {
  if (std::fabs(value) >= 9.2233720368547e18) return beyond_64_bits();
  return Value(static_cast<std::int64_t>(value));
}

Result<Value> to_int(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("int", arguments, {"default", "base"}, 0));
  const Value otherwise = bound.has(0) ? *bound[0] : Value(std::int64_t{0});
  switch (input.kind()) {
    case Kind::undefined:
      return undefined_error(input);
    case Kind::boolean:
    case Kind::integer:
      return unary_plus(input);
    case Kind::wide_integer:
      return input;
    case Kind::real:
      if (std::isnan(input.real())) return otherwise;
      if (std::isinf(input.real())) {
        return runtime_error("cannot convert float infinity to integer");
      }
      return truncated(input.real());
    case Kind::string: {
      in.budget().spend_bytes(input.text().bytes.size());
      OLLM_TRY(const std::int64_t base, bound.whole(1, 10));
      const ParsedWhole whole = parse_whole(input.text().bytes, base);
      if (whole.too_big) return beyond_64_bits();
      if (whole.valid) return Value(whole.value);
      const auto real = parse_real(input.text().bytes);
      if (!real || !std::isfinite(*real)) return otherwise;
      return truncated(*real);
    }
    case Kind::bytes: {
      const std::string& bytes = input.as<BytesObject>().data.bytes;
      in.budget().spend_bytes(bytes.size());
      const ParsedWhole whole = parse_whole(bytes, 10);
      if (whole.too_big) return beyond_64_bits();
      if (whole.valid) return Value(whole.value);
      const auto real = parse_real(bytes);
      return real && std::isfinite(*real) ? truncated(*real) : Result<Value>(otherwise);
    }
    default:
      return otherwise;
  }
}

Result<Value> to_float(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("float", arguments, {"default"}, 0));
  if (input.is(Kind::undefined)) return undefined_error(input);
  if (input.is_number()) return Value(as_real(input));
  if (input.is(Kind::string)) {
    in.budget().spend_bytes(input.text().bytes.size());
    if (const auto real = parse_real(input.text().bytes)) return Value(*real);
  }
  if (input.is(Kind::bytes)) {
    if (const auto real = parse_real(input.as<BytesObject>().data.bytes)) return Value(*real);
  }
  return bound.has(0) ? *bound[0] : Value(0.0);
}

Result<Value> absolute(Interpreter& /*in*/, const Value& input, const Arguments& arguments) {
  OLLM_TRY_VOID(bind("abs", arguments, {}, 0));
  if (input.is(Kind::undefined)) return undefined_error(input);
  if (input.is(Kind::real)) return Value(std::fabs(input.real()));
  if (input.is(Kind::wide_integer)) return input;
  if (!input.is_number()) {
    return runtime_error(fmt::format("bad operand type for abs(): '{}'", type_name(input)));
  }
  OLLM_TRY(const std::int64_t whole, as_index(input));
  return whole < 0 ? negated(input) : unary_plus(input);
}

// Python's round: to the nearest, halves to even, by the exact decimal value.
double rounded(double value, std::int64_t precision) {
  // A double has no more digits than these after the point, and none that far before it.
  if (!std::isfinite(value) || precision > 323) return value;
  if (precision < -308) return std::copysign(0.0, value);
  if (precision < 0) {
    const double unit = std::pow(10.0, static_cast<double>(-precision));
    return std::nearbyint(value / unit) * unit;
  }
  char buffer[1'024];
  std::snprintf(buffer, sizeof buffer, "%.*f", static_cast<int>(precision), value);
  return std::strtod(buffer, nullptr);
}

Result<Value> rounded_whole(std::int64_t value, std::int64_t precision) {
  if (precision >= 0) return Value(value);
  if (precision < -18) return Value(std::int64_t{0});
  std::int64_t unit = 1;
  for (; precision < 0; ++precision) unit *= 10;
  const std::int64_t rest = value % unit;
  std::int64_t result = value - rest;
  const std::int64_t twice = 2 * (rest < 0 ? -rest : rest);
  const bool away = twice > unit || (twice == unit && (result / unit) % 2 != 0);
  if (away && __builtin_add_overflow(result, value < 0 ? -unit : unit, &result)) {
    return beyond_64_bits();
  }
  return Value(result);
}

Result<Value> round(Interpreter& /*in*/, const Value& input, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("round", arguments, {"precision", "method"}, 0));
  OLLM_TRY(const std::int64_t precision, bound.whole(0, 0));
  const std::string method = bound.has(1) && bound[1]->is(Kind::string) ? bound[1]->text().bytes
                             : bound.has(1)                             ? ""
                                                                        : "common";
  if (method != "common" && method != "ceil" && method != "floor") {
    return runtime_error("method must be common, ceil or floor");
  }
  if (input.is(Kind::undefined)) return undefined_error(input);
  if (!input.is_number() || input.is(Kind::wide_integer)) {
    return runtime_error(fmt::format("type {} doesn't define __round__ method", type_name(input)));
  }
  if (method == "common") {
    if (input.is(Kind::real)) return Value(rounded(input.real(), precision));
    OLLM_TRY(const std::int64_t whole, as_index(input));
    return rounded_whole(whole, precision);
  }
  const double unit = std::pow(10.0, static_cast<double>(precision));
  const double scaled = as_real(input) * unit;
  return Value((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / unit);
}

Result<Value> filesizeformat(Interpreter& in, const Value& input, const Arguments& arguments) {
  OLLM_TRY(const BoundArguments bound, bind("filesizeformat", arguments, {"binary"}, 0));
  const bool binary = bound.flag(0, false);
  std::optional<double> bytes;
  if (input.is_number()) bytes = as_real(input);
  if (input.is(Kind::string)) bytes = parse_real(input.text().bytes);
  if (input.is(Kind::undefined)) return undefined_error(input);
  if (!bytes || !std::isfinite(*bytes)) {
    return runtime_error("filesizeformat needs a number of bytes");
  }
  const double base = binary ? 1024 : 1000;
  if (*bytes == 1) return in.heap().string("1 Byte");
  if (*bytes < base) {
    return in.heap().string(
        fmt::format("{} Bytes", static_cast<std::int64_t>(std::max(*bytes, -9.2e18))));
  }
  static constexpr char kPrefixes[] = {'k', 'M', 'G', 'T', 'P', 'E', 'Z', 'Y'};
  double unit = base;
  std::size_t prefix = 0;
  while (prefix + 1 < std::size(kPrefixes) && *bytes >= unit * base) {
    unit *= base;
    ++prefix;
  }
  const char letter = binary && prefix == 0 ? 'K' : kPrefixes[prefix];
  return in.heap().string(fmt::format("{:.1f} {}{}B", *bytes / unit, letter, binary ? "i" : ""));
}

constexpr Filter kFilters[] = {
    {"int", &to_int},
    {"float", &to_float},
    {"abs", &absolute},
    {"round", &round},
    {"filesizeformat", &filesizeformat},
};

}  // namespace

std::span<const Filter> number_filters() { return kFilters; }

}  // namespace ollm::text::jinja
