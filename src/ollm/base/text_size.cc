#include "ollm/base/text_size.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <span>

#include "ollm/base/text_form.h"

namespace ollm {
namespace {

constexpr double kLargest = 9.2e18;  // stays below 2^63

struct Unit {
  std::string_view name;
  double factor;
};

Result<std::uint64_t> parse_with_units(std::string_view text, std::span<const Unit> units,
                                       std::string_view form, std::string_view what = "a size") {
  const auto refuse = [&](std::string_view why) {
    return fail(ErrorKind::invalid_argument, fmt::format("'{}' {}: {}", text, why, form));
  };
  if (text.empty() || text[0] < '0' || text[0] > '9') return refuse(fmt::format("is not {}", what));
  std::size_t digits = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
  std::size_t end = digits;
  if (end + 1 < text.size() && text[end] == '.' && text[end + 1] >= '0' && text[end + 1] <= '9') {
    ++end;
    while (end < text.size() && text[end] >= '0' && text[end] <= '9') ++end;
  }
  std::string_view unit = text.substr(end);
  if (unit.size() > 1 && unit[0] == ' ') unit.remove_prefix(1);
  double factor = 0;
  for (const Unit& candidate : units)
    if (lower(unit) == candidate.name) factor = candidate.factor;
  if (factor == 0) return refuse("has an unknown unit");
  if (end == digits && factor == 1) {  // whole bytes stay exact up to the last one
    std::uint64_t value = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + digits, value);
    if (error != std::errc() || value > static_cast<std::uint64_t>(INT64_MAX))
      return refuse("is too large");
    return value;
  }
  double number = 0;
  std::from_chars(text.data(), text.data() + end, number);
  number *= factor;
  if (!(number < kLargest)) return refuse("is too large");
  if (factor == 1 && number != std::floor(number)) return refuse("is not whole");
  return static_cast<std::uint64_t>(number);
}

}  // namespace

Result<std::uint64_t> parse_bytes(std::string_view text) {
  constexpr double k = 1024;
  static constexpr std::array<Unit, 14> units{{{"", 1},
                                               {"b", 1},
                                               {"k", k},
                                               {"kib", k},
                                               {"kb", 1e3},
                                               {"m", k * k},
                                               {"mib", k * k},
                                               {"mb", 1e6},
                                               {"g", k * k * k},
                                               {"gib", k * k * k},
                                               {"gb", 1e9},
                                               {"t", k * k * k * k},
                                               {"tib", k * k * k * k},
                                               {"tb", 1e12}}};
  return parse_with_units(text, units, "write 512MiB, 4GiB, 4GB or a number of bytes");
}

Result<std::uint64_t> parse_tokens(std::string_view text) {
  static constexpr std::array<Unit, 3> units{{{"", 1}, {"k", 1024}, {"m", 1024.0 * 1024}}};
  return parse_with_units(text, units, "write 4096 or 32k");
}

Result<std::uint64_t> parse_age(std::string_view text) {
  constexpr double kHour = 3600;
  static constexpr std::array<Unit, 6> units{
      {{"", 1}, {"s", 1}, {"min", 60}, {"h", kHour}, {"d", 24 * kHour}, {"w", 7 * 24 * kHour}}};
  return parse_with_units(text, units, "write 7d, 12h or a number of seconds", "an age");
}

std::string format_bytes(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 5> names{"KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1024;
  std::size_t name = 0;
  while (value >= 1023.95 && name + 1 < names.size()) {
    value /= 1024;
    ++name;
  }
  return fmt::format("{:.1f} {}", value, names[name]);
}

}  // namespace ollm
