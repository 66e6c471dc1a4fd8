// The shortest digits, and serde_json's arithmetic on them (serde_number.h).
// Leaves files that spell a number in more digits than it needs: no program writes such.
#include "ollm/text/serde_number.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>

namespace ollm::text {
namespace {

double power_of_ten(int exponent) {
  const std::string text = "1e" + std::to_string(exponent);
  double power = 0;
  std::from_chars(text.data(), text.data() + text.size(), power);
  return power;
}

}  // namespace

double serde_number(double value) {
  constexpr int kLargestPower = 308;
  if (value == 0 || !std::isfinite(value)) return value;
  std::array<char, 32> buffer;
  const auto written = std::to_chars(buffer.data(), buffer.data() + buffer.size(), std::abs(value),
                                     std::chars_format::scientific);
  const std::string_view text(buffer.data(), static_cast<std::size_t>(written.ptr - buffer.data()));
  const std::size_t e = text.find('e');
  std::uint64_t digits = 0;
  int exponent = 0;
  const std::size_t sign = text[e + 1] == '+' ? 1 : 0;
  std::from_chars(text.data() + e + 1 + sign, text.data() + text.size(), exponent);
  for (const char c : text.substr(0, e)) {
    if (c == '.') continue;
    digits = digits * 10 + static_cast<std::uint64_t>(c - '0');
  }
  if (e > 1) exponent -= static_cast<int>(e) - 2;  // digits behind the point
  double number = static_cast<double>(digits);
  if (exponent < -kLargestPower) {
    number /= power_of_ten(kLargestPower);
    exponent += kLargestPower;
  }
  if (exponent >= 0) {
    number *= power_of_ten(exponent);
  } else {
    number /= power_of_ten(-exponent);
  }
  return value < 0 ? -number : number;
}

}  // namespace ollm::text
