// A fixed set of threads that share loops; passed to who needs it, never global.
// Leaves to others: what floating-point mode its threads run in (backend/ sets it per loop).
#pragma once

#include <cstddef>
#include <memory>

#include "ollm/base/callback.h"

namespace ollm {

/// Runs a loop body on the calling thread and `threads - 1` workers.
///
/// Workers spin for a short while after a loop, as the next one mostly follows at once, then
/// sleep. One thread at a time may call `parallel_for`.
class ThreadPool {
 public:
  /// More than any machine has cores.
  static constexpr std::size_t kMostThreads = 4096;

  /// `threads` counts the calling thread. Where the system gives no further one, those that started
  /// do the work: no result depends on their number. Of 0 it is 1, above kMostThreads that many.
  explicit ThreadPool(std::size_t threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  /// How many there are, which may be fewer than were asked for.
  std::size_t threads() const;

  /// Calls body(i) once for every i in [0, count), in no promised order and on any of the
  /// threads; returns when all calls have returned. `body` must not throw.
  void parallel_for(std::size_t count, FunctionRef<void(std::size_t)> body);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ollm
