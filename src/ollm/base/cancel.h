// The wish to stop: set from any thread or a signal handler, asked between layers and in every
// loop.
#pragma once

#include <atomic>

#include "ollm/base/result.h"

namespace ollm {

/// One wish to stop, shared by who asks for it and who obeys. Setting it is safe in a signal
/// handler; it is never unset by who obeys.
class CancellationToken {
 public:
  void cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  void reset() { cancelled_.store(false, std::memory_order_relaxed); }
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

  /// Errors: cancelled, once cancel() was called.
  Result<void> check() const {
    if (cancelled()) return fail(ErrorKind::cancelled, "stopped by the caller");
    return {};
  }

 private:
  std::atomic<bool> cancelled_{false};
};

}  // namespace ollm
