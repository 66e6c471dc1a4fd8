// A thread whose start may fail, with a stack of known size. Leaves to others: sharing out work
// (thread_pool.h).
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "ollm/base/result.h"

namespace ollm {

/// Owns a running thread and waits for its end when it goes. std::thread throws where the system
/// gives no further thread (`ulimit -u`, a control group's pids.max), and has the stack that the
/// process' limit says: 8 MiB each, which thousands of threads make a large address space.
class Thread {
 public:
  /// Room for the deepest kernel several times over, in any build.
  static constexpr std::size_t kStackBytes = std::size_t{1} << 20;
  /// What one adds to the resident memory of the process: the pages of its stack that are touched,
  /// its thread-local memory and what the C library keeps of it. `base_test` holds it.
  static constexpr std::size_t kResidentBytes = std::size_t{32} << 10;

  /// Runs `body`, which must not throw. Errors: io where the system gives no further thread.
  static Result<Thread> start(std::function<void()> body);

  Thread(Thread&& other) noexcept;
  Thread& operator=(Thread&& other) noexcept;
  ~Thread();

 private:
  struct State;
  explicit Thread(std::unique_ptr<State> state);
  void join();

  std::unique_ptr<State> state_;  // none after being moved from
};

/// From now on the calling thread gets the smallest share of the processor, and its reads go behind
/// those of others where the disk's scheduler knows of that. For work that nobody waits for yet. A
/// wish: where it is not granted, the thread goes on as it was.
void yield_to_all_others();

}  // namespace ollm
