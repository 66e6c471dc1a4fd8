// Broken invariants of our own: OLLM_CHECK in all builds, OLLM_DCHECK in inner loops of dev builds
// and of those with a sanitizer.
// Never for input: what comes from outside gets an Error (result.h).
#pragma once

namespace ollm {

/// Prints the condition with its place to stderr and aborts.
[[noreturn]] void check_failed(const char* condition, const char* file, int line);

}  // namespace ollm

#define OLLM_CHECK(condition) \
  ((condition) ? void() : ::ollm::check_failed(#condition, __FILE__, __LINE__))

#ifdef OLLM_DCHECK_ON
#define OLLM_DCHECK(condition) OLLM_CHECK(condition)
#else
#define OLLM_DCHECK(condition) static_cast<void>(0)
#endif
