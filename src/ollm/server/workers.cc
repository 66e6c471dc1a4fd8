#include "ollm/server/workers.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

#include "ollm/base/thread.h"

namespace ollm::server {

struct Workers::State {
  void run() {
    for (;;) {
      std::function<void()> work;
      {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return ends || !queue.empty(); });
        if (ends) return;
        work = std::move(queue.front());
        queue.pop_front();
      }
      work();
    }
  }

  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::function<void()>> queue;  // guarded by mutex
  bool ends = false;                        // guarded by mutex
  std::vector<Thread> threads;
};

Result<std::unique_ptr<Workers>> Workers::start(std::size_t threads) {
  std::unique_ptr<Workers> workers(new Workers(std::make_unique<State>()));
  for (std::size_t i = 0; i < threads; ++i) {
    OLLM_TRY(Thread thread, Thread::start([state = workers->state_.get()] { state->run(); }));
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

void Workers::post(std::function<void()> work) {
  {
    const std::lock_guard lock(state_->mutex);
    state_->queue.push_back(std::move(work));
  }
  state_->changed.notify_one();
}

}  // namespace ollm::server
