#include "ollm/io/async_reads.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <utility>
#include <vector>

#include "ollm/base/check.h"
#include "ollm/base/clock.h"
#include "ollm/base/thread.h"
#include "ollm/io/async_reads_uring.h"

namespace ollm::io {
namespace {

// Two threads read as fast as io_uring does at 1 MiB and more; two further ones cover a slow read.
constexpr std::size_t kMostThreads = 4;

class ThreadReads final : public AsyncReads {
 public:
  explicit ThreadReads(std::size_t depth) : depth_(depth) {
    queue_.reserve(depth);
    done_.reserve(depth);
    for (std::size_t i = 0; i < std::min(depth, kMostThreads); ++i) {
      Result<Thread> thread = Thread::start([this] { work(); });
      if (!thread.ok()) return;
      threads_.push_back(std::move(thread).value());
    }
  }

  ~ThreadReads() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    work_.notify_all();
    threads_.clear();
  }

  ReadMethod method() const override { return ReadMethod::threads; }
  std::size_t depth() const override { return depth_; }
  double own_cpu_seconds() const override { return cpu_seconds_.load(std::memory_order_relaxed); }

  void submit(const AsyncRead& read) override {
    {
      std::lock_guard lock(mutex_);
      OLLM_CHECK(under_way_ < depth_);
      ++under_way_;
      queue_.push_back(read);
    }
    work_.notify_one();
  }

  ReadDone wait() override {
    std::unique_lock lock(mutex_);
    OLLM_CHECK(under_way_ > 0);
    if (threads_.empty()) {  // none could be started: the caller reads
      const AsyncRead read = queue_.front();
      queue_.erase(queue_.begin());
      --under_way_;
      lock.unlock();
      return {read.tag, read.file->read_once(read.offset, {read.out, read.size})};
    }
    done_ready_.wait(lock, [&] { return !done_.empty(); });
    const ReadDone done = done_.front();
    done_.erase(done_.begin());
    --under_way_;
    return done;
  }

 private:
  void work() {
    double before = thread_cpu_seconds();
    std::unique_lock lock(mutex_);
    for (;;) {
      work_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;  // reads that were submitted are done before the end
      const AsyncRead read = queue_.front();
      queue_.erase(queue_.begin());
      lock.unlock();
      const std::int64_t result = read.file->read_once(read.offset, {read.out, read.size});
      const double now = thread_cpu_seconds();
      lock.lock();
      cpu_seconds_.store(cpu_seconds_.load(std::memory_order_relaxed) + now - before,
                         std::memory_order_relaxed);
      before = now;
      done_.push_back({read.tag, result});
      done_ready_.notify_one();
    }
  }

  const std::size_t depth_;
  std::vector<Thread> threads_;

  std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable done_ready_;
  // guarded by mutex_
  std::vector<AsyncRead> queue_;  // first come, first served; a handful, with room reserved
  std::vector<ReadDone> done_;
  std::size_t under_way_ = 0;
  bool stopping_ = false;

  std::atomic<double> cpu_seconds_{0};  // written with mutex_ held
};

}  // namespace

std::string_view to_string(ReadMethod method) {
  switch (method) {
    case ReadMethod::io_uring:
      return "io_uring";
    case ReadMethod::threads:
      return "pread";
  }
  return "pread";
}

std::unique_ptr<AsyncReads> make_thread_reads(std::size_t depth) {
  return std::make_unique<ThreadReads>(depth);
}

Result<void> probe_io_uring() {
  const auto reads = make_uring_reads(1);
  if (!reads.ok()) return reads.error();
  return {};
}

bool io_uring_allowed() { return probe_io_uring().ok(); }

std::unique_ptr<AsyncReads> make_async_reads(ReadMethod method, std::size_t depth) {
  OLLM_CHECK(depth > 0);
  if (method == ReadMethod::io_uring) {
    auto reads = make_uring_reads(depth);
    if (reads.ok()) return std::move(reads).value();
  }
  return make_thread_reads(depth);
}

}  // namespace ollm::io
