// The element types of tensors: how they are spelt in safetensors files and how wide they are.
// Leaves to others: arithmetic on them (backend/) and their scalar conversions (float16.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "ollm/base/result.h"

namespace ollm {

/// The element types of the safetensors format that take whole bytes.
enum class DType : std::uint8_t {
  boolean,  // one byte, 0 or 1; spelt BOOL
  u8,
  i8,
  f8_e5m2,
  f8_e4m3,
  i16,
  u16,
  f16,
  bf16,
  i32,
  u32,
  f32,
  f64,
  i64,
  u64,
};

/// Every DType, in order of the enumeration.
inline constexpr DType kDTypes[] = {
    DType::boolean, DType::u8,  DType::i8,  DType::f8_e5m2, DType::f8_e4m3,
    DType::i16,     DType::u16, DType::f16, DType::bf16,    DType::i32,
    DType::u32,     DType::f32, DType::f64, DType::i64,     DType::u64,
};

/// The size of one element in bytes: 1, 2, 4 or 8.
std::uint32_t size_bytes(DType dtype);

/// The spelling of safetensors: "BF16", "F8_E4M3", "BOOL".
std::string_view to_string(DType dtype);

/// The type spelt `text` in a safetensors header; upper case only, as written there.
/// Errors: unsupported for types of the format that are not built here (those below a byte: F4,
/// F6_E2M3, F6_E3M2; the scale type F8_E8M0; the FNUZ variants; complex C64), each by its name;
/// corrupt for a spelling that the format does not know.
Result<DType> parse_dtype(std::string_view text);

}  // namespace ollm
