#include "ollm/base/thread.h"

#include <fmt/format.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>
#include <system_error>
#include <utility>

namespace ollm {

struct Thread::State {
  std::function<void()> body;
  pthread_t id{};

  static void* run(void* state) {
    static_cast<State*>(state)->body();
    return nullptr;
  }
};

Thread::Thread(std::unique_ptr<State> state) : state_(std::move(state)) {}
Thread::Thread(Thread&& other) noexcept = default;

Thread& Thread::operator=(Thread&& other) noexcept {
  if (this == &other) return *this;
  join();
  state_ = std::move(other.state_);
  return *this;
}

Thread::~Thread() { join(); }

void Thread::join() {
  if (state_) ::pthread_join(state_->id, nullptr);
  state_.reset();
}

Result<Thread> Thread::start(std::function<void()> body) {
  auto state = std::make_unique<State>();
  state->body = std::move(body);
  pthread_attr_t attributes;
  int error = ::pthread_attr_init(&attributes);
  if (error == 0) {
    // Where the size does not suit the system, its default is as good.
    ::pthread_attr_setstacksize(&attributes, kStackBytes);
    error = ::pthread_create(&state->id, &attributes, &State::run, state.get());
    ::pthread_attr_destroy(&attributes);
  }
  if (error == 0) return Thread(std::move(state));
  return fail(ErrorKind::io, fmt::format("the system gives no further thread: {} (ulimit -u and a "
                                         "control group's pids.max limit them)",
                                         std::generic_category().message(error)));
}

void yield_to_all_others() {
  // Not the idle classes: on a busy machine a thread of those may hold a lock for minutes.
  constexpr int kNicest = 19;
  ::setpriority(PRIO_PROCESS, 0, kNicest);  // of this thread, on Linux
  // No function of the C library stands for ioprio_set(2), nor a header for its numbers.
  constexpr int kThisThread = 1;              // IOPRIO_WHO_PROCESS, of a thread's number
  constexpr int kLowestOfMost = 2 << 13 | 7;  // IOPRIO_CLASS_BE, its last level
  ::syscall(SYS_ioprio_set, kThisThread, 0, kLowestOfMost);
}

}  // namespace ollm
