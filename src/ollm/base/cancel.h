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
  /// Wishes. From any thread, and from a signal handler.
  void cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  /// Takes the wish back, before the next run. Only by who made it.
  void reset() { cancelled_.store(false, std::memory_order_relaxed); }
  /// Whether it was wished.
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
