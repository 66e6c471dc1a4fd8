// The rule of kv_codes.h by plain loops, one element after the other: the truth that every table is
// compared with, and the models of the tests of what rows see.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <vector>

#include "ollm/backend/float_mode.h"
#include "ollm/backend/kv_codes.h"
#include "ollm/backend/reference/elements.h"

namespace ollm::backend::reference {

inline DType element_of(const KvLayout& layout) {
  return layout.mode == ComputeMode::bf16 ? DType::bf16 : DType::f32;
}

/// The codes of n elements that share a peak.
inline void encode_side(const std::byte* from, DType dtype, std::size_t n, std::byte* at_peak,
                        std::byte* codes) {
  float peak = 0;
  bool damaged = false;
  for (std::size_t i = 0; i < n; ++i) {
    const float x = weight_at(from, dtype, i);
    damaged = damaged || !std::isfinite(x);
    peak = std::max(peak, std::fabs(x));
  }
  if (peak < 0x1p-118f) peak = 0;
  if (damaged) peak = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(at_peak, &peak, sizeof peak);
  for (std::size_t i = 0; i < n; ++i) {
    // The product of 24 bits and 7 is exact in double.
    const float share = weight_at(from, dtype, i) / peak;
    const bool coded = !damaged && peak != 0;
    const double code = coded ? std::nearbyint(static_cast<double>(share) * 127) : 0;
    codes[i] = static_cast<std::byte>(static_cast<signed char>(code));
  }
}

inline std::vector<std::byte> encode(const KvLayout& layout, const std::byte* tile) {
  const FloatMode float_mode;
  std::vector<std::byte> out(code_bytes(layout));
  std::byte* at = out.data();
  for (std::size_t head = 0; head < layout.kv_heads; ++head) {
    const std::size_t keys = kTileTokens * layout.padded_key_size();
    const std::size_t values = kTileTokens * layout.padded_value_size();
    const std::byte* const from = tile + head * layout.head_bytes();
    encode_side(from, element_of(layout), keys, at, at + 8);
    encode_side(from + layout.key_bytes(), element_of(layout), values, at + 4, at + 8 + keys);
    at += 8 + keys + values;
  }
  return out;
}

/// n elements of one peak, each rounded to f32 after each product, then to the element's type.
inline void decode_side(const std::byte* codes, std::size_t n, float peak, DType dtype,
                        std::byte* out) {
  for (std::size_t i = 0; i < n; ++i) {
    const auto code = static_cast<float>(static_cast<signed char>(codes[i]));
    const float value = code * (1.0f / 127.0f) * peak;
    if (dtype == DType::bf16) {
      const std::uint16_t half = f32_to_bf16(value);
      std::memcpy(out + 2 * i, &half, 2);
    } else {
      std::memcpy(out + 4 * i, &value, 4);
    }
  }
}

inline std::vector<std::byte> decode(const KvLayout& layout, const std::byte* codes) {
  const FloatMode float_mode;
  std::vector<std::byte> out(layout.tile_bytes());
  std::byte* to = out.data();
  for (std::size_t head = 0; head < layout.kv_heads; ++head) {
    const std::size_t keys = kTileTokens * layout.padded_key_size();
    const std::size_t values = kTileTokens * layout.padded_value_size();
    decode_side(codes + 8, keys, weight_at(codes, DType::f32, 0), element_of(layout), to);
    decode_side(codes + 8 + keys, values, weight_at(codes, DType::f32, 1), element_of(layout),
                to + layout.key_bytes());
    to += layout.head_bytes();
    codes += 8 + keys + values;
  }
  return out;
}

}  // namespace ollm::backend::reference
