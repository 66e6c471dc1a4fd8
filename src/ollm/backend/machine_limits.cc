// Loops without any purpose but to reach the limits of the machine.
// Leaves to others: what is made of the limits (bench/, runtime/measure.h).
#include "ollm/backend/machine_limits.h"

#include <immintrin.h>

#include <algorithm>
#include <atomic>
#include <vector>

#include "ollm/backend/backend.h"
#include "ollm/base/clock.h"

namespace ollm::backend {
namespace {

// A value that the compiler must believe to be used.
std::atomic<float> sink;

constexpr std::size_t kChains = 12;  // latency 4 to 6, up to two a cycle

[[gnu::target("avx512f")]] void fma512(std::size_t rounds) {
  __m512 sums[kChains] = {};
  const __m512 x = _mm512_set1_ps(0.5f);
  for (std::size_t i = 0; i < rounds; ++i) {
    _Pragma("GCC unroll 12") for (std::size_t c = 0; c < kChains; ++c) {
      sums[c] = _mm512_fmadd_ps(x, x, sums[c]);
      asm volatile("" : "+v"(sums[c]));
    }
  }
  sink = _mm512_cvtss_f32(sums[0]);
}

[[gnu::target("avx512f,avx512bf16")]] void dot512(std::size_t rounds) {
  __m512 sums[kChains] = {};
  const auto x = reinterpret_cast<__m512bh>(_mm512_set1_epi32(0x3f003f00));
  for (std::size_t i = 0; i < rounds; ++i) {
    _Pragma("GCC unroll 12") for (std::size_t c = 0; c < kChains; ++c) {
      sums[c] = _mm512_dpbf16_ps(sums[c], x, x);
      asm volatile("" : "+v"(sums[c]));
    }
  }
  sink = _mm512_cvtss_f32(sums[0]);
}

[[gnu::target("avx2,fma")]] void fma256(std::size_t rounds) {
  __m256 sums[kChains] = {};
  const __m256 x = _mm256_set1_ps(0.5f);
  for (std::size_t i = 0; i < rounds; ++i) {
    _Pragma("GCC unroll 12") for (std::size_t c = 0; c < kChains; ++c) {
      sums[c] = _mm256_fmadd_ps(x, x, sums[c]);
      asm volatile("" : "+x"(sums[c]));
    }
  }
  sink = _mm256_cvtss_f32(sums[0]);
}

// The scalar table calls fmaf; its peak is that call.
void fma1(std::size_t rounds) {
  float sums[kChains] = {};
  float x = 0.5f;
  asm volatile("" : "+x"(x));
  for (std::size_t i = 0; i < rounds; ++i) {
    for (std::size_t c = 0; c < kChains; ++c) sums[c] = __builtin_fmaf(x, x, sums[c]);
  }
  sink = sums[0];
}

struct Peak {
  void (*run)(std::size_t);
  double flops_per_round;
};

Peak peak_of(Isa isa, ComputeMode mode) {
  switch (isa) {
    case Isa::avx512_bf16:
      if (mode == ComputeMode::bf16) return {dot512, kChains * 64.0};
      return {fma512, kChains * 32.0};
    case Isa::avx512:
      return {fma512, kChains * 32.0};
    case Isa::avx2:
      return {fma256, kChains * 16.0};
    default:
      return {fma1, kChains * 2.0};
  }
}

// Sums 64 bytes at a time over `streams` equal parts, as far ahead as `prefetch` bytes.
template <int kStreams>
[[gnu::target("avx2")]] void read_streams(const std::byte* data, std::size_t size,
                                          std::size_t prefetch) {
  const std::size_t part = size / kStreams / 64 * 64;
  __m256i sums[kStreams] = {};
  for (std::size_t at = 0; at < part; at += 64) {
    _Pragma("GCC unroll 8") for (std::size_t s = 0; s < kStreams; ++s) {
      const std::byte* p = data + s * part + at;
      if (prefetch != 0) __builtin_prefetch(p + prefetch);
      sums[s] = _mm256_xor_si256(sums[s], _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
      sums[s] =
          _mm256_xor_si256(sums[s], _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32)));
    }
  }
  for (std::size_t s = 1; s < kStreams; ++s) sums[0] = _mm256_xor_si256(sums[0], sums[s]);
  sink = static_cast<float>(_mm256_extract_epi32(sums[0], 0));
}

// One stream by the 16 bytes that every x86-64 processor loads at once.
void read_plain(const std::byte* data, std::size_t size, std::size_t prefetch) {
  __m128i sum = _mm_setzero_si128();
  for (const std::byte* p = data; p < data + size / 16 * 16; p += 16) {
    if (prefetch != 0) __builtin_prefetch(p + prefetch);
    sum = _mm_xor_si128(sum, _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  sink = static_cast<float>(_mm_cvtsi128_si32(sum));
}

using ReadLoop = void (*)(const std::byte*, std::size_t, std::size_t);
constexpr ReadLoop kPlainLoops[] = {read_plain};
constexpr ReadLoop kAvx2Loops[] = {read_streams<1>, read_streams<4>, read_streams<8>};

// A clock may stand still between two looks at it.
double seconds_since(double begin) { return std::max(1e-9, monotonic_seconds() - begin); }

}  // namespace

double peak_flops(Isa isa, ComputeMode mode, ThreadPool& pool, double seconds) {
  const Peak peak = peak_of(isa, mode);
  std::size_t rounds = 1000;
  const double start = monotonic_seconds();
  peak.run(rounds);
  const double one = seconds_since(start);
  rounds = static_cast<std::size_t>(static_cast<double>(rounds) * seconds / one) + 1;
  const double begin = monotonic_seconds();
  pool.parallel_for(pool.threads(), [&](std::size_t) { peak.run(rounds); });
  const double flops =
      peak.flops_per_round * static_cast<double>(rounds) * static_cast<double>(pool.threads());
  return flops / seconds_since(begin);
}

double read_rate(std::span<const std::byte> memory, ThreadPool& pool, std::span<const Isa> isas) {
  const bool avx2 = std::ranges::find(isas, Isa::avx2) != isas.end();
  const std::span<const ReadLoop> loops =
      avx2 ? std::span<const ReadLoop>(kAvx2Loops) : std::span<const ReadLoop>(kPlainLoops);
  double best = 0;
  // Pieces as a decode's: taken in order by whoever is free.
  constexpr std::size_t kPiece = std::size_t{8} << 20;
  const std::size_t pieces = memory.size() / kPiece;
  for (const ReadLoop loop : loops) {
    for (const std::size_t prefetch : {std::size_t{0}, std::size_t{1024}, std::size_t{4096}}) {
      const double begin = monotonic_seconds();
      pool.parallel_for(pieces,
                        [&](std::size_t i) { loop(memory.data() + i * kPiece, kPiece, prefetch); });
      best = std::max(best, static_cast<double>(pieces * kPiece) / seconds_since(begin));
    }
  }
  return best;
}

}  // namespace ollm::backend
