// Threads for what takes long without the model: reading and encoding bodies, planning. Leaves to
// others: answers (desk.h).
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "ollm/base/result.h"

namespace ollm::server {

class Workers {
 public:
  /// At least two threads. Errors: io where the system gives no further threads.
  static Result<std::unique_ptr<Workers>> start(std::size_t threads);
  /// What was not begun is dropped; what runs is waited for.
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  /// Any thread. `work` must not throw. Of what is `large` one runs at a time, and never keeps the
  /// other threads from what is not.
  void post(std::function<void()> work, bool large = false);

 private:
  struct State;
  explicit Workers(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace ollm::server
