#include "ollm/tensor/weight_format.h"

#include <fmt/format.h>

#include <algorithm>

#include "ollm/tensor/mxfp4.h"

namespace ollm {

std::string_view to_string(WeightElement element) {
  switch (element) {
    case WeightElement::f32:
      return "F32";
    case WeightElement::f16:
      return "F16";
    case WeightElement::bf16:
      return "BF16";
    case WeightElement::e4m3:
      return "F8_E4M3";
    case WeightElement::e2m1:
      return "F4";
  }
  return "";
}

std::optional<WeightFormat> plain_format(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return WeightFormat{WeightElement::f32};
    case DType::f16:
      return WeightFormat{WeightElement::f16};
    case DType::bf16:
      return WeightFormat{WeightElement::bf16};
    case DType::f8_e4m3:
      return WeightFormat{WeightElement::e4m3};
    default:
      return std::nullopt;
  }
}

std::string unsupported_reason(const WeightFormat& format) {
  if (format == kMxfp4) return {};
  switch (format.element) {
    case WeightElement::f32:
    case WeightElement::f16:
    case WeightElement::bf16:
      break;
    case WeightElement::e4m3:
    case WeightElement::e2m1:
      return fmt::format("weights of {} are not built: expected F32, F16, BF16 or MXFP4",
                         to_string(format.element));
  }
  if (format.scale) return "weights with scales of blocks are not built";
  return {};
}

bool scales_are_valid(const WeightFormat& format, std::span<const std::byte> scales) {
  if (!format.scale || format.scale->type != ScaleType::e8m0) return false;
  // Whole lines first: a count that the compiler knows, so that it compares many at once.
  constexpr std::size_t kLine = 64;
  const auto* at = reinterpret_cast<const std::uint8_t*>(scales.data());
  std::size_t left = scales.size();
  std::uint8_t largest = 0;
  for (; left >= kLine; left -= kLine, at += kLine)
    for (std::size_t i = 0; i < kLine; ++i) largest = std::max(largest, at[i]);
  for (; left > 0; --left, ++at) largest = std::max(largest, *at);
  return largest <= kLargestE8m0;
}

}  // namespace ollm
