#include "ollm/tensor/weight_format.h"

#include <fmt/format.h>

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
  switch (format.element) {
    case WeightElement::f32:
    case WeightElement::f16:
    case WeightElement::bf16:
      break;
    case WeightElement::e4m3:
    case WeightElement::e2m1:
      return fmt::format("weights of {} are not built: expected F32, F16 or BF16",
                         to_string(format.element));
  }
  if (format.scale) return "weights with scales of blocks are not built";
  if (format.layout == WeightLayout::in_by_out) return "weights stored as [in, out] are not built";
  return {};
}

}  // namespace ollm
