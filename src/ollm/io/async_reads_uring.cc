// Reads through io_uring. The one file that includes liburing. The kernel makes its reads, so that
// the injectable file layer is told of each before and after (File::before_queued_read). Leaves to
// others: what is read where, and what a short or failed read means (read_queue.h).
#include "ollm/io/async_reads_uring.h"

#include <fmt/format.h>
#include <liburing.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>
#include <vector>

#include "ollm/base/check.h"
#include "ollm/base/clock.h"
#include "ollm/io/read_progress.h"

namespace ollm::io {
namespace {

// The kernel refuses larger counts in one read; it would return a short one.
constexpr std::size_t kLargestRead = std::size_t{1} << 30;

// A disk that says nothing for so long is given up; the kernel itself reports an error of one long
// before.
constexpr double kLongestSilenceSeconds = 120;
// A wait that signals interrupt all the time goes on in another way after so long.
constexpr double kLongestInterruptedSeconds = 10;

// Interrupted, or the kernel is short of memory for the moment: nothing is lost.
bool passes(int error) {
  return error == -EINTR || error == -EAGAIN || error == -EBUSY || error == -ENOMEM;
}

class UringReads final : public AsyncReads {
 public:
  explicit UringReads(std::size_t depth) : depth_(depth), table_(depth) {
    queued_.reserve(depth);
    refused_.reserve(depth);
    free_.reserve(depth);
    for (std::size_t i = 0; i < depth; ++i) free_.push_back(i);
  }

  ~UringReads() override {
    if (!open_) return;
    while (in_kernel_ > 0 || !queued_.empty()) wait();
    ::io_uring_queue_exit(&ring_);
  }

  // 0, or minus errno: a queue that was set up, and that has read something.
  int open() {
    const int error = ::io_uring_queue_init(static_cast<unsigned>(depth_), &ring_, 0);
    open_ = error == 0;
    return open_ ? prove() : error;
  }

  ReadMethod method() const override {
    return threads_ ? ReadMethod::threads : ReadMethod::io_uring;
  }
  std::size_t depth() const override { return depth_; }
  double own_cpu_seconds() const override { return threads_ ? threads_->own_cpu_seconds() : 0; }

  void submit(const AsyncRead& read) override {
    if (threads_) return threads_->submit(read);
    if (const int error = read.file->before_queued_read(); error != 0) {
      refused_.push_back({read.tag, error});
      return;
    }
    OLLM_CHECK(!free_.empty());
    const std::size_t entry = free_.back();
    io_uring_sqe* place = ::io_uring_get_sqe(&ring_);
    OLLM_CHECK(place != nullptr);  // the queue has `depth` entries
    free_.pop_back();
    table_[entry] = {read, true};
    ::io_uring_prep_read(place, read.file->descriptor(), read.out,
                         static_cast<unsigned>(std::min(read.size, kLargestRead)), read.offset);
    ::io_uring_sqe_set_data64(place, entry);
    queued_.push_back(entry);
    if (const int error = push(); error != 0 && !passes(error)) give_up();
  }

  ReadDone wait() override {
    if (!refused_.empty()) {
      const ReadDone done = refused_.front();
      refused_.erase(refused_.begin());
      return done;
    }
    const double begin = monotonic_seconds();
    for (int idle = 0; !threads_;) {
      int error = push();
      if (in_kernel_ > 0) {
        io_uring_cqe* done = nullptr;
        error = ::io_uring_wait_cqe(&ring_, &done);
        if (error == 0) return take(done);
      }
      ++idle;
      // Signals of a timer may come all the time that a slow read takes.
      const bool interrupted =
          error == -EINTR && monotonic_seconds() - begin < kLongestInterruptedSeconds;
      if (!passes(error) || (idle > kMaxIdleCalls && !interrupted)) give_up();
      if (idle > kEagerCalls) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return in_kernel_ > 0 ? wait_without_asking() : threads_->wait();
  }

 private:
  struct Entry {
    AsyncRead read;
    bool under_way = false;  // not so where it was given up; what comes of it later is ignored
  };

  // Has the queue read a byte, in the way that files are read.
  int prove() {
    const int file = ::memfd_create("ollm io_uring probe", MFD_CLOEXEC);
    if (file < 0) return -errno;
    std::array<char, 8> byte{};
    const bool written = ::pwrite(file, byte.data(), 1, 0) == 1;
    io_uring_sqe* place = ::io_uring_get_sqe(&ring_);
    ::io_uring_prep_read(place, file, byte.data(), 1, 0);
    int error = -EIO;
    for (int tries = 0; written && tries < kMaxIdleCalls; ++tries) {
      error = ::io_uring_submit_and_wait(&ring_, 1);
      if (error >= 0 || !passes(error)) break;
    }
    io_uring_cqe* done = nullptr;
    if (error >= 0) error = ::io_uring_peek_cqe(&ring_, &done);
    if (error == 0) {
      error = done->res == 1 ? 0 : done->res < 0 ? done->res : -EIO;
      ::io_uring_cqe_seen(&ring_, done);
    }
    ::close(file);
    return error;
  }

  // Hands the kernel what it has not taken yet; 0, or minus errno.
  int push() {
    while (!queued_.empty()) {
      const int taken = ::io_uring_submit(&ring_);
      if (taken <= 0) return taken < 0 ? taken : -EAGAIN;
      const std::size_t count = std::min(queued_.size(), static_cast<std::size_t>(taken));
      queued_.erase(queued_.begin(), queued_.begin() + static_cast<std::ptrdiff_t>(count));
      in_kernel_ += count;
    }
    return 0;
  }

  ReadDone take(io_uring_cqe* done) {
    const std::size_t entry = ::io_uring_cqe_get_data64(done);
    const AsyncRead& read = table_[entry].read;
    const ReadDone result{read.tag, read.file->after_queued_read(read.offset, read.out, done->res)};
    ::io_uring_cqe_seen(&ring_, done);
    table_[entry].under_way = false;
    free_.push_back(entry);
    --in_kernel_;
    return result;
  }

  // The kernel serves the queue no more (a filter was set, a limit met). Threads read what it has
  // not taken, and all that comes; what it has taken it still answers.
  void give_up() {
    threads_ = make_thread_reads(depth_);
    for (const std::size_t entry : queued_) {
      threads_->submit(table_[entry].read);
      table_[entry].under_way = false;
    }
    queued_.clear();
  }

  // One of the reads that the kernel has taken, without io_uring_enter: answers lie in memory that
  // is shared with it, and the queue's descriptor tells when. After a long silence the run ends
  // with an error; until the descriptor is closed, a late answer may still be written to its
  // memory.
  ReadDone wait_without_asking() {
    const double begin = monotonic_seconds();
    while (monotonic_seconds() - begin < kLongestSilenceSeconds && !silent_) {
      io_uring_cqe* done = nullptr;
      if (::io_uring_peek_cqe(&ring_, &done) == 0) return take(done);
      pollfd ready{ring_.ring_fd, POLLIN, 0};
      ::poll(&ready, 1, 100);
    }
    silent_ = true;
    const auto lost = std::find_if(table_.begin(), table_.end(),
                                   [](const Entry& entry) { return entry.under_way; });
    lost->under_way = false;
    --in_kernel_;
    return {lost->read.tag, -ETIMEDOUT};
  }

  const std::size_t depth_;
  io_uring ring_{};
  bool open_ = false;
  std::vector<Entry> table_;             // an entry's number is its mark in the queue
  std::vector<std::size_t> free_;        // entries that are not in use
  std::vector<std::size_t> queued_;      // in the order of the queue, not yet taken by the kernel
  std::vector<ReadDone> refused_;        // never handed over: what the file layer says of them
  std::size_t in_kernel_ = 0;            // taken by it and not waited for
  bool silent_ = false;                  // it did not answer in time
  std::unique_ptr<AsyncReads> threads_;  // since the kernel serves the queue no more
};

}  // namespace

Result<std::unique_ptr<AsyncReads>> make_uring_reads(std::size_t depth) {
  auto reads = std::make_unique<UringReads>(depth);
  if (const int error = reads->open(); error != 0) {
    return fail(ErrorKind::unsupported,
                fmt::format("io_uring is not to be had here: {}", describe_errno(-error)));
  }
  return std::unique_ptr<AsyncReads>(std::move(reads));
}

}  // namespace ollm::io
