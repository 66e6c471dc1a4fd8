#include "ollm/backend/kv_codes.h"

#include <algorithm>
#include <cstring>

#include "ollm/backend/backend.h"
#include "ollm/backend/cpu/cpu_backend.h"
#include "ollm/backend/float_mode.h"

namespace ollm::backend {
namespace {

// Elements whose codes stand on the stack while they are quantized in place.
constexpr std::size_t kPiece = 1024;

// Calls `side(tile bytes, its elements, peak, codes)` of the keys and of the values of each head,
// with the places where they stand.
template <typename Tile, typename Codes, typename Side>
void for_each_side(const KvLayout& layout, Tile* tile, Codes* codes, const Side& side) {
  const std::size_t keys = layout.key_bytes() / layout.element_bytes();
  const std::size_t values = layout.value_bytes() / layout.element_bytes();
  for (std::size_t head = 0; head < layout.kv_heads; ++head) {
    Codes* const peaks = codes;
    codes += 2 * sizeof(float);
    side(tile, keys, peaks, codes);
    side(tile + layout.key_bytes(), values, peaks + sizeof(float), codes + keys);
    tile += layout.head_bytes();
    codes += keys + values;
  }
}

}  // namespace

std::size_t code_bytes(const KvLayout& layout) {
  return layout.tile_bytes() / layout.element_bytes() + layout.kv_heads * 2 * sizeof(float);
}

KvCodes::KvCodes() : isa_(best_isa(ComputeMode::f32)) {}

const cpu::ModeKernels& KvCodes::kernels(const KvLayout& layout) const {
  return cpu::kernels_of(isa_).mode[static_cast<std::size_t>(layout.mode)];
}

void KvCodes::encode(const KvLayout& layout, const std::byte* tile, std::byte* codes) const {
  const FloatMode float_mode;
  const cpu::ModeKernels& kernel = kernels(layout);
  for_each_side(layout, tile, codes,
                [&](const std::byte* from, std::size_t n, std::byte* at_peak, std::byte* to) {
                  const float peak = kernel.kv_peak(from, n);
                  std::memcpy(at_peak, &peak, sizeof peak);
                  kernel.kv_encode(from, n, peak, to);
                });
}

void KvCodes::decode(const KvLayout& layout, const std::byte* codes, std::byte* tile) const {
  const FloatMode float_mode;
  const cpu::ModeKernels& kernel = kernels(layout);
  for_each_side(layout, tile, codes,
                [&](std::byte* to, std::size_t n, const std::byte* at_peak, const std::byte* from) {
                  float peak;
                  std::memcpy(&peak, at_peak, sizeof peak);
                  kernel.kv_decode(from, n, peak, to);
                });
}

void KvCodes::quantize(const KvLayout& layout, const std::byte* tile, std::byte* out) const {
  const FloatMode float_mode;
  const cpu::ModeKernels& kernel = kernels(layout);
  std::byte codes[kPiece];
  const auto side = [&](std::size_t offset, std::size_t n) {
    const std::size_t bytes = layout.element_bytes();
    const float peak = kernel.kv_peak(tile + offset, n);
    for (std::size_t i = 0; i < n; i += kPiece) {
      const std::size_t count = std::min(kPiece, n - i);
      kernel.kv_encode(tile + offset + i * bytes, count, peak, codes);
      kernel.kv_decode(codes, count, peak, out + offset + i * bytes);
    }
  };
  for (std::size_t head = 0; head < layout.kv_heads; ++head) {
    const std::size_t offset = head * layout.head_bytes();
    side(offset, layout.key_bytes() / layout.element_bytes());
    side(offset + layout.key_bytes(), layout.value_bytes() / layout.element_bytes());
  }
}

}  // namespace ollm::backend
