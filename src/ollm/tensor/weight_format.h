// How the weights of a matrix are stored: their elements, the scales of their blocks, which way
// round. Leaves to others: where they stand (weights/) and products with them (backend/).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "ollm/tensor/dtype.h"

namespace ollm {

/// The type of one weight.
enum class WeightElement : std::uint8_t { f32, f16, bf16, e4m3, e2m1 };

/// As safetensors spells it: "F32", "F16", "BF16", "F8_E4M3", "F4".
std::string_view to_string(WeightElement element);

/// The type of a scale.
enum class ScaleType : std::uint8_t { e8m0, bf16, f32 };

/// One scale for each block of rows x cols weights, which it multiplies.
struct BlockScale {
  ScaleType type = ScaleType::f32;
  std::uint32_t rows = 1;
  std::uint32_t cols = 1;

  friend bool operator==(const BlockScale&, const BlockScale&) = default;
};

/// What the rows of a stored matrix are.
enum class WeightLayout : std::uint8_t {
  out_by_in,  // its outputs, each with the weights of all inputs
  in_by_out,  // its inputs
};

struct WeightFormat {
  WeightElement element = WeightElement::f32;
  std::optional<BlockScale> scale = std::nullopt;
  WeightLayout layout = WeightLayout::out_by_in;

  friend bool operator==(const WeightFormat&, const WeightFormat&) = default;
};

/// MXFP4: e2m1 in blocks of 32 columns, each with a power of two, as gpt-oss and compressed-tensors
/// store it: a byte holds an even column in its low half and the
/// next one in its high half; the columns are a multiple of 32 (tensor/mxfp4.h). Source: Open
/// Compute Project, "OCP Microscaling Formats (MX) Specification", 1.0, 2023.
inline constexpr WeightFormat kMxfp4 = {WeightElement::e2m1, BlockScale{ScaleType::e8m0, 1, 32}};

/// Bytes of `count` weights that stand together, without their scales; count is even for types of
/// less than a byte.
constexpr std::uint64_t size_bytes(const WeightFormat& format, std::uint64_t count) {
  switch (format.element) {
    case WeightElement::f32:
      return 4 * count;
    case WeightElement::f16:
    case WeightElement::bf16:
      return 2 * count;
    case WeightElement::e4m3:
      return count;
    case WeightElement::e2m1:
      return count / 2;
  }
  return 0;
}

/// The format of a stored matrix [out, in] of this type, without scales; nothing for types that
/// hold no weights.
std::optional<WeightFormat> plain_format(DType dtype);

/// Why there are no products with weights of this format; empty where there are.
std::string unsupported_reason(const WeightFormat& format);

/// Whether no scale is a NaN and none makes a weight infinite in bf16, whatever the weights are:
/// then kernels may read them. False for formats without scales, or with scales that are not built.
bool scales_are_valid(const WeightFormat& format, std::span<const std::byte> scales);

}  // namespace ollm
