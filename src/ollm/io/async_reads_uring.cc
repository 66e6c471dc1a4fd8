// Reads through io_uring. The one file that includes liburing. Its reads pass the injectable file
// layer by: faults are injected into the `threads` kind, and read_ring.cc treats both alike.
#include "ollm/io/async_reads_uring.h"

#include <fmt/format.h>
#include <liburing.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "ollm/base/check.h"

namespace ollm::io {
namespace {

// The kernel refuses larger counts in one read; it would return a short one.
constexpr std::size_t kLargestRead = std::size_t{1} << 30;

class UringReads final : public AsyncReads {
 public:
  explicit UringReads(std::size_t depth) : depth_(depth) {}

  ~UringReads() override {
    if (!open_) return;
    while (under_way_ > 0) wait();
    ::io_uring_queue_exit(&ring_);
  }

  int open() {
    const int error = ::io_uring_queue_init(static_cast<unsigned>(depth_), &ring_, 0);
    open_ = error == 0;
    return -error;
  }

  std::size_t depth() const override { return depth_; }
  double own_cpu_seconds() const override { return 0; }

  void submit(const AsyncRead& read) override {
    OLLM_CHECK(under_way_ < depth_);
    ++under_way_;
    io_uring_sqe* entry = ::io_uring_get_sqe(&ring_);
    OLLM_CHECK(entry != nullptr);  // the queue has `depth` entries
    ::io_uring_prep_read(entry, read.file->descriptor(), read.out,
                         static_cast<unsigned>(std::min(read.size, kLargestRead)), read.offset);
    ::io_uring_sqe_set_data64(entry, read.tag);
    ++unsubmitted_;
    push();
  }

  ReadDone wait() override {
    OLLM_CHECK(under_way_ > 0);
    for (;;) {
      io_uring_cqe* entry = nullptr;
      int error = push();
      if (error == 0) error = ::io_uring_wait_cqe(&ring_, &entry);
      if (error == 0) {
        const ReadDone done{::io_uring_cqe_get_data64(entry), entry->res};
        ::io_uring_cqe_seen(&ring_, entry);
        --under_way_;
        return done;
      }
      // Interrupted, or the kernel is short of memory for the moment: the reads are not lost.
      OLLM_CHECK(error == -EINTR || error == -EAGAIN || error == -EBUSY || error == -ENOMEM);
    }
  }

 private:
  // Hands entries to the kernel that it has not taken yet; 0, or what it said where none of the
  // reads under way is with it, so that there is nothing to wait for.
  int push() {
    while (unsubmitted_ > 0) {
      const int taken = ::io_uring_submit(&ring_);
      if (taken > 0) {
        unsubmitted_ -= std::min(unsubmitted_, static_cast<std::size_t>(taken));
        continue;
      }
      return unsubmitted_ < under_way_ ? 0 : taken < 0 ? taken : -EAGAIN;
    }
    return 0;
  }

  const std::size_t depth_;
  io_uring ring_{};
  bool open_ = false;
  std::size_t under_way_ = 0;    // submitted to this object and not waited for
  std::size_t unsubmitted_ = 0;  // of them, not yet taken by the kernel
};

}  // namespace

Result<std::unique_ptr<AsyncReads>> make_uring_reads(std::size_t depth) {
  auto reads = std::make_unique<UringReads>(depth);
  if (const int error = reads->open(); error != 0) {
    return fail(ErrorKind::unsupported,
                fmt::format("io_uring is not to be had here: {}", describe_errno(error)));
  }
  return std::unique_ptr<AsyncReads>(std::move(reads));
}

}  // namespace ollm::io
