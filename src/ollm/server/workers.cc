#include "ollm/server/workers.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

#include "ollm/base/thread.h"

namespace ollm::server {

struct Workers::State {
  // One thread alone takes what is large.
  void run(bool takes_large) {
    for (;;) {
      std::function<void()> work;
      {
        std::unique_lock lock(mutex);
        changed.wait(lock,
                     [&] { return ends || !small.empty() || (takes_large && !large.empty()); });
        if (ends) return;
        auto& queue = takes_large && !large.empty() ? large : small;
        work = std::move(queue.front());
        queue.pop_front();
      }
      work();
    }
  }

  std::mutex mutex;
  std::condition_variable changed;
  // guarded by mutex
  std::deque<std::function<void()>> small, large;
  bool ends = false;

  std::vector<Thread> threads;
};

Result<std::unique_ptr<Workers>> Workers::start(std::size_t threads) {
  std::unique_ptr<Workers> workers(new Workers(std::make_unique<State>()));
  for (std::size_t i = 0; i < threads; ++i) {
    OLLM_TRY(Thread thread,
             Thread::start([state = workers->state_.get(), i] { state->run(i == 0); }));
    workers->state_->threads.push_back(std::move(thread));
  }
  return workers;
}

Workers::Workers(std::unique_ptr<State> state) : state_(std::move(state)) {}

Workers::~Workers() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->ends = true;
  }
  state_->changed.notify_all();
  state_->threads.clear();
}

void Workers::post(std::function<void()> work, bool large) {
  {
    const std::lock_guard lock(state_->mutex);
    (large ? state_->large : state_->small).push_back(std::move(work));
  }
  state_->changed.notify_all();
}

}  // namespace ollm::server
