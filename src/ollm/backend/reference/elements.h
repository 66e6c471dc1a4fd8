// One element at a time: weights as they stand in files, and rounding by compute mode.
// Leaves to others: vectors of them (cpu/vec_*.inc, which is tested against this).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "ollm/backend/options.h"
#include "ollm/base/check.h"
#include "ollm/tensor/dtype.h"
#include "ollm/tensor/float16.h"
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

/// The same of a matrix without scales.
inline float weight_at(const std::byte* data, const WeightFormat& format, std::size_t i) {
  if (format.element == WeightElement::f32) return weight_at(data, DType::f32, i);
  OLLM_CHECK(format.element == WeightElement::bf16 || format.element == WeightElement::f16);
  return weight_at(data, format.element == WeightElement::bf16 ? DType::bf16 : DType::f16, i);
}

/// x as the compute mode keeps operands of products.
inline float rounded(ComputeMode mode, float x) {
  return mode == ComputeMode::bf16 ? bf16_to_f32(f32_to_bf16(x)) : x;
}

}  // namespace ollm::backend
