// The tiles of kv_layout.h as int8 codes: how many bytes they take, and the way there and back.
// Leaves to others: which tokens are seen as their codes give them (kv/), the arithmetic of one
// head (cpu/kv_codes.inc).
#pragma once

#include <cstddef>

#include "ollm/backend/kv_layout.h"
#include "ollm/backend/options.h"

namespace ollm::backend {

namespace cpu {
struct ModeKernels;
}

/// Bytes of the codes of one tile. They are, for each kv head:
///
///   f32    the peak of its keys: their largest absolute value, of all 64 tokens
///   f32    the peak of its values
///   int8   [keys], in the order in which they stand in the tile, those that pad it included
///   int8   [values], the same
///
/// Code c stands for c / 127 of its peak.
std::size_t code_bytes(const KvLayout& layout);

/// Encodes and decodes, on the calling thread and in the mode of every kernel; any number of
/// threads may at once. All tables give the same bits, which are part of the numerics version.
class KvCodes {
 public:
  /// With the widest table of this machine, or with one that it has.
  KvCodes();
  explicit KvCodes(Isa isa) : isa_(isa) {}

  void encode(const KvLayout& layout, const std::byte* tile, std::byte* codes) const;
  /// What `encode` makes of the tile that this writes are the same codes.
  void decode(const KvLayout& layout, const std::byte* codes, std::byte* tile) const;
  /// What decoding gives of the codes of `tile`; `out` may be the same memory.
  void quantize(const KvLayout& layout, const std::byte* tile, std::byte* out) const;

 private:
  const cpu::ModeKernels& kernels(const KvLayout& layout) const;

  Isa isa_;
};

}  // namespace ollm::backend
