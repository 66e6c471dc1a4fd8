#include "ollm/base/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "ollm/base/thread.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace ollm {
namespace {

// About 20 to 50 microseconds on today's machines: longer than the gap between two loops of one
// layer, shorter than anybody notices in an idle process.
constexpr int kSpins = 2000;

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

}  // namespace

struct ThreadPool::State {
  explicit State(std::size_t thread_count) {
    workers.reserve(thread_count - 1);
    for (std::size_t i = 1; i < thread_count; ++i) {
      Result<Thread> worker = Thread::start([this] { work(); });
      if (!worker.ok()) return;  // those that are there do the work
      workers.push_back(std::move(worker).value());
    }
  }

  ~State() {
    {
      std::lock_guard lock(mutex);
      stopping = true;
      generation.fetch_add(1, std::memory_order_release);
    }
    wake.notify_all();
    workers.clear();
  }

  // Takes indices until none is left. Indices are handed out one by one: bodies are large.
  void take() {
    for (;;) {
      const std::size_t i = next.fetch_add(1, std::memory_order_relaxed);
      if (i >= count) return;
      body(i);
    }
  }

  void work() {
    std::uint64_t seen = 0;
    for (;;) {
      for (int spin = 0; spin < kSpins && generation.load(std::memory_order_acquire) == seen;
           ++spin)
        relax();
      if (generation.load(std::memory_order_acquire) == seen) {
        std::unique_lock lock(mutex);
        wake.wait(lock, [&] { return generation.load(std::memory_order_acquire) != seen; });
      }
      seen = generation.load(std::memory_order_acquire);
      if (stopping) return;
      take();
      if (busy.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        std::lock_guard lock(mutex);
        done.notify_one();
      }
    }
  }

  std::vector<Thread> workers;  // constant after construction; no worker looks at it

  // Written by the caller before `generation` moves, read by workers after.
  FunctionRef<void(std::size_t)> body = nullptr;
  std::size_t count = 0;
  bool stopping = false;

  std::atomic<std::size_t> next{0};          // first index that nobody took
  std::atomic<std::size_t> busy{0};          // workers that have not finished this loop
  std::atomic<std::uint64_t> generation{0};  // moves once a loop

  std::mutex mutex;  // for sleeping only
  std::condition_variable wake;
  std::condition_variable done;
};

ThreadPool::ThreadPool(std::size_t threads) {
  state_ = std::make_unique<State>(std::clamp<std::size_t>(threads, 1, kMostThreads));
}

ThreadPool::~ThreadPool() = default;

std::size_t ThreadPool::threads() const { return state_->workers.size() + 1; }

void ThreadPool::parallel_for(std::size_t count, FunctionRef<void(std::size_t)> body) {
  if (count == 0) return;
  if (count == 1 || state_->workers.empty()) {
    for (std::size_t i = 0; i < count; ++i) body(i);
    return;
  }
  State& state = *state_;
  state.body = body;
  state.count = count;
  state.next.store(0, std::memory_order_relaxed);
  state.busy.store(state.workers.size(), std::memory_order_relaxed);
  {
    std::lock_guard lock(state.mutex);
    state.generation.fetch_add(1, std::memory_order_release);
  }
  state.wake.notify_all();
  state.take();
  for (int spin = 0; spin < kSpins && state.busy.load(std::memory_order_acquire) != 0; ++spin)
    relax();
  if (state.busy.load(std::memory_order_acquire) != 0) {
    std::unique_lock lock(state.mutex);
    state.done.wait(lock, [&] { return state.busy.load(std::memory_order_acquire) == 0; });
  }
}

}  // namespace ollm
