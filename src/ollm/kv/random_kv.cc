#include "ollm/kv/random_kv.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace ollm::kv {
namespace {

// Fills a tile with numbers near 1, of either sign, in either element type: the two high bytes of a
// bf16 or f32 are 0x3f80 to 0x3fbf, or the same below zero.
class RandomTiles {
 public:
  void fill(std::byte* out, std::size_t bytes, backend::ComputeMode mode) {
    const std::uint32_t exponent = mode == backend::ComputeMode::bf16 ? 0x3f803f80 : 0x3f800000;
    const std::uint32_t mask = mode == backend::ComputeMode::bf16 ? 0x803f803f : 0x803fffff;
    for (std::size_t at = 0; at + sizeof(std::uint32_t) <= bytes; at += sizeof(std::uint32_t)) {
      state_ ^= state_ << 13;
      state_ ^= state_ >> 7;
      state_ ^= state_ << 17;
      const std::uint32_t value = exponent | (static_cast<std::uint32_t>(state_ >> 20) & mask);
      std::memcpy(out + at, &value, sizeof(value));
    }
  }

 private:
  std::uint64_t state_ = 0x9e3779b97f4a7c15;
};

}  // namespace

Result<void> extend_at_random(Line& line, std::span<const TokenId> tokens, std::size_t rows,
                              FunctionRef<void(std::size_t)> progress,
                              const CancellationToken& cancel) {
  const Options& options = line.store().options();
  RandomTiles random;
  OLLM_TRY_VOID(line.reserve(line.tokens() + tokens.size()));
  for (std::size_t done = 0; done < tokens.size();) {
    OLLM_TRY_VOID(cancel.check());
    const std::size_t count = std::min(rows, tokens.size() - done);
    OLLM_TRY_VOID(line.prepare(count));
    const std::size_t first = line.tokens();
    for (std::size_t layer = 0; layer < options.layers.size(); ++layer) {
      const backend::KvLayout& layout = options.layers[layer].layout;
      if (options.layers[layer].of_layer || options.layers[layer].recurrent) continue;
      std::byte* last = nullptr;
      for (std::size_t token = first; token < first + count; ++token) {
        std::byte* tile = line.tile_for_write(layer, token);
        if (tile != last) random.fill(tile, layout.tile_bytes(), layout.mode);
        last = tile;
      }
    }
    line.commit(tokens.subspan(done, count));
    done += count;
    if (progress) progress(done);
  }
  line.keep();
  return {};
}

}  // namespace ollm::kv
