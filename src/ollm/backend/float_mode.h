// The floating-point mode that every kernel runs in, set for a scope and put back after it.
// Leaves to others: which scopes (cpu_backend.cc, reference_backend.cc).
#pragma once

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace ollm::backend {

/// Round to nearest, denormals as zero in operands and results, no trap: the same on every thread,
/// whatever a caller has set, so that it is part of no result (docs/decisions/same-bits.md).
class FloatMode {
 public:
#if defined(__x86_64__)
  FloatMode() : before_(_mm_getcsr()) { _mm_setcsr(kMode); }
  ~FloatMode() { _mm_setcsr(before_); }
#else
  FloatMode() = default;
#endif
  FloatMode(const FloatMode&) = delete;
  FloatMode& operator=(const FloatMode&) = delete;

 private:
#if defined(__x86_64__)
  // Intel SDM volume 1, 10.2.3: flush to zero (bit 15), denormals are zero (bit 6), all exceptions
  // masked (bits 7 to 12), rounding to nearest (bits 13 and 14 clear).
  static constexpr unsigned kMode = 0x9fc0;
  unsigned before_;
#endif
};

}  // namespace ollm::backend
