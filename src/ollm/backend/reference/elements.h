// One element at a time: weights as they stand in files, and rounding by compute mode.
// Leaves to others: vectors of them (cpu/vec_*.inc, which is tested against this).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "ollm/backend/backend.h"
#include "ollm/backend/options.h"
#include "ollm/base/check.h"
#include "ollm/tensor/dtype.h"
#include "ollm/tensor/float16.h"
#include "ollm/tensor/mxfp4.h"
#include "ollm/tensor/weight_format.h"

namespace ollm::backend {

/// Element i of weights at any byte, as f32. Exact.
inline float weight_at(const std::byte* data, DType dtype, std::size_t i) {
  if (dtype == DType::f32) {
    float value;
    std::memcpy(&value, data + 4 * i, 4);
    return value;
  }
  std::uint16_t half;
  std::memcpy(&half, data + 2 * i, 2);
  OLLM_CHECK(dtype == DType::bf16 || dtype == DType::f16);
  return dtype == DType::bf16 ? bf16_to_f32(half) : f16_to_f32(half);
}

/// Column i of row j, as f32.
inline float weight_at(const WeightRows& w, std::size_t j, std::size_t i) {
  const bool by_inputs = w.format.layout == WeightLayout::in_by_out;
  const std::size_t at = by_inputs ? i * w.rows + j : j * w.cols + i;
  switch (w.format.element) {
    case WeightElement::f32:
      return weight_at(w.data, DType::f32, at);
    case WeightElement::f16:
      return weight_at(w.data, DType::f16, at);
    case WeightElement::bf16:
      return weight_at(w.data, DType::bf16, at);
    default:
      OLLM_CHECK(w.format == kMxfp4);
      return scaled_e2m1(std::to_integer<unsigned>(w.data[at / 2]) >> at % 2 * 4,
                         std::to_integer<std::uint8_t>(w.scales[at / 32]));
  }
}

/// x as the compute mode keeps operands of products.
inline float rounded(ComputeMode mode, float x) {
  return mode == ComputeMode::bf16 ? bf16_to_f32(f32_to_bf16(x)) : x;
}

}  // namespace ollm::backend
