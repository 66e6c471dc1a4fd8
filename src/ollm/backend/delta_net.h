// What a gated delta net computes on: the sizes of its heads, rows of a sweep, and what a line
// keeps of them. Leaves to others: the rule itself (Backend::delta_rule), where the memory is
// (models/).
//
// Included where code is compiled with AVX-512, so it holds plain data and declarations only.
#pragma once

#include <cstddef>

namespace ollm::backend {

/// Tokens of a chunk, counted from a line's beginning: states are taken up at multiples of it.
inline constexpr std::size_t kDeltaChunkTokens = 64;

/// Taps of a convolution, at most.
inline constexpr std::size_t kMostConvTaps = 16;

/// Value head h reads the keys of head h / (value_heads / key_heads).
struct DeltaLayout {
  std::size_t key_heads = 0;
  std::size_t value_heads = 0;  // a multiple of key_heads
  std::size_t key_size = 0;     // of one head, as value_size
  std::size_t value_size = 0;
};

/// Floats of a state, [value_heads, key_size, value_size].
std::size_t state_floats(const DeltaLayout& layout);
/// Floats that are kept of a row, for those behind it in its chunk: keys [key_heads, key_size],
/// what it wrote [value_heads, value_size], and its decay since the chunk began [value_heads].
std::size_t kept_floats(const DeltaLayout& layout);

/// Rows of a sweep, those of one line after those of another. q and k have length 1, q times
/// 1 / sqrt(key_size) on top.
struct DeltaRows {
  const float* q = nullptr;      // [rows, key_heads, key_size], rows `stride` floats apart
  const float* k = nullptr;      // the same
  const float* v = nullptr;      // [rows, value_heads, value_size], rows `stride` floats apart
  std::size_t stride = 0;        // floats
  const float* decay = nullptr;  // [rows, value_heads], packed: logarithms, at most 0
  const float* beta = nullptr;   // [rows, value_heads], packed
  float* out = nullptr;          // [rows, value_heads, value_size], packed
};

/// What a line keeps of one chunk; null where nobody needs it.
struct DeltaChunk {
  float* state = nullptr;  // before the chunk: state_floats
  float* kept = nullptr;   // kept_floats of its first token; those of the next are kept_stride on
};

/// Some rows, which follow each other in one line.
struct DeltaLine {
  std::size_t first_row = 0;  // of DeltaRows
  std::size_t rows = 0;
  std::size_t first_slot = 0;  // of the first row in its chunk: 0 ... 63
  /// The chunk that the first row is in, and those behind it up to the one that the next row will
  /// be in. The first has what was kept of the tokens before the first row, and its state; none is
  /// a state of zeros, at a line's beginning.
  const DeltaChunk* chunks = nullptr;
  std::size_t kept_stride = 0;  // floats
};

/// Rows that follow each other in one line, for a convolution.
struct ConvLine {
  std::size_t first_row = 0;
  std::size_t rows = 0;
  /// The inputs of the taps - 1 tokens before, oldest first; null for tokens that there are none
  /// of, which count as zeros.
  const float* const* before = nullptr;
};

}  // namespace ollm::backend
