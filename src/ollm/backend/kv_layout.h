// The packed layout of keys and values, in memory and on disk: one tile of 64 tokens of one layer.
// Leaves to others: who owns tiles and how many stand in a block (kv/).
#pragma once

#include <cstddef>

#include "ollm/backend/options.h"

namespace ollm::backend {

/// Tokens of one fold step of attention. Constant for ever within a numerics version: it is part of
/// the order of additions, and independent of how many tokens a storage block holds.
inline constexpr std::size_t kTileTokens = 64;

/// Tokens after which the running softmax is merged into the total, so that one long sequence can
/// be split over threads and keep its bits. Absolute: spans begin at multiples of it.
inline constexpr std::size_t kSpanTokens = 4096;

/// Where one head's keys and values stand inside a tile of one layer.
///
/// A tile is [kv_heads][keys, then values]. With element type E (f32, or bf16 in bf16 mode) and
/// `d`, `v` the head sizes padded with zeros to a multiple of 16 (kept at zero by who allocates):
///
///   keys    f32   [4 groups of 16 tokens][d][16 tokens]            one key per lane
///           bf16  [4 groups of 16 tokens][d / 2][16 tokens][2]     pairs of elements d
///   values  f32   [64 tokens][v]
///           bf16  [32 pairs of tokens][v][2 tokens]                pairs of tokens
///
/// Slots of tokens that do not exist yet hold zeros.
struct KvLayout {
  std::size_t kv_heads = 0;
  std::size_t key_size = 0;    // head_dim of q and k, not padded
  std::size_t value_size = 0;  // head_dim of v, not padded
  ComputeMode mode = ComputeMode::f32;

  std::size_t padded_key_size() const { return (key_size + 15) / 16 * 16; }
  std::size_t padded_value_size() const { return (value_size + 15) / 16 * 16; }
  std::size_t element_bytes() const { return mode == ComputeMode::bf16 ? 2 : 4; }
  std::size_t key_bytes() const { return kTileTokens * padded_key_size() * element_bytes(); }
  std::size_t value_bytes() const { return kTileTokens * padded_value_size() * element_bytes(); }
  std::size_t head_bytes() const { return key_bytes() + value_bytes(); }
  std::size_t tile_bytes() const { return kv_heads * head_bytes(); }

  friend bool operator==(const KvLayout&, const KvLayout&) = default;
};

}  // namespace ollm::backend
