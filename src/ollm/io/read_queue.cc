#include "ollm/io/read_queue.h"

#include <bit>
#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include "ollm/base/check.h"
#include "ollm/base/clock.h"

namespace ollm::io {
namespace {

// What a stretch of code costs this thread.
class CpuMeter {
 public:
  explicit CpuMeter(double& sum) : sum_(sum), begin_(thread_cpu_seconds()) {}
  ~CpuMeter() { sum_ += thread_cpu_seconds() - begin_; }
  CpuMeter(const CpuMeter&) = delete;
  CpuMeter& operator=(const CpuMeter&) = delete;

 private:
  double& sum_;
  const double begin_;
};

// Whether it may be the kernel's queue that failed and not the file: the thread that began the read
// ended (ECANCELED, EFAULT), or the kernel does not serve such a read by a queue, or not now.
bool may_be_the_queue(std::int64_t result) {
  switch (-result) {
    case ECANCELED:
    case EFAULT:
    case EINVAL:
    case EOPNOTSUPP:
    case ENOSYS:
    case EPERM:
    case EACCES:
    case ENOMEM:
      return true;
    default:
      return false;
  }
}

}  // namespace

ReadQueue::ReadQueue(std::unique_ptr<AsyncReads> reads) : reads_(std::move(reads)) {}

ReadQueue::~ReadQueue() {
  OLLM_CHECK(under_way_ == 0);
  for (const Waiting& list : waiting_) OLLM_CHECK(list.first == nullptr);
}

ReadQueue::Waiting& ReadQueue::waiting(const ReadRequest& request) {
  return waiting_[static_cast<std::size_t>(request.priority_)];
}

void ReadQueue::link_behind(ReadRequest& request) {
  Waiting& list = waiting(request);
  request.before_ = list.last;
  request.behind_ = nullptr;
  (list.last == nullptr ? list.first : list.last->behind_) = &request;
  list.last = &request;
}

void ReadQueue::link_before(ReadRequest& request) {
  Waiting& list = waiting(request);
  request.before_ = nullptr;
  request.behind_ = list.first;
  (list.first == nullptr ? list.last : list.first->before_) = &request;
  list.first = &request;
}

void ReadQueue::unlink(ReadRequest& request) {
  Waiting& list = waiting(request);
  (request.before_ == nullptr ? list.first : request.before_->behind_) = request.behind_;
  (request.behind_ == nullptr ? list.last : request.behind_->before_) = request.before_;
}

void ReadQueue::put_behind(ReadRequest& request, QueuedRead& read) {
  read.behind = nullptr;
  (request.first_ == nullptr ? request.first_ : request.last_->behind) = &read;
  request.last_ = &read;
}

void ReadQueue::add(ReadRequest& request, QueuedRead& read) {
  OLLM_DCHECK(request.under_way_ == 0);
  read.request = &request;
  read.asked_again = false;
  read.progress =
      ReadProgress(read.offset, read.size, read.file->size_bytes(), read.file->alignment_bytes());
  put_behind(request, read);
}

void ReadQueue::begin(ReadRequest& request, ReadPriority priority) {
  const CpuMeter meter(cpu_seconds_);
  request.error_.reset();
  request.priority_ = priority;
  if (request.first_ == nullptr) return;
  link_behind(request);
  submit_waiting();
}

void ReadQueue::submit_waiting() {
  for (Waiting& list : waiting_) {
    while (list.first != nullptr && under_way_ < reads_->depth()) {
      ReadRequest& request = *list.first;
      QueuedRead& read = *request.first_;
      request.first_ = read.behind;
      if (request.first_ == nullptr) unlink(request);
      const std::size_t done = read.progress.done();
      reads_->submit({read.file, read.offset + done, read.out + done, read.size - done,
                      std::bit_cast<std::uintptr_t>(&read)});
      ++request.under_way_;
      ++under_way_;
    }
  }
}

void ReadQueue::take(const ReadDone& done) {
  QueuedRead& read = *std::bit_cast<QueuedRead*>(static_cast<std::uintptr_t>(done.tag));
  ReadRequest& request = *read.request;
  --under_way_;
  --request.under_way_;
  std::int64_t result = done.result;
  if (may_be_the_queue(result) && !read.asked_again && !request.dropped_) {
    read.asked_again = true;
    const std::size_t at = read.progress.done();
    result = read.file->read_once(read.offset + at, {read.out + at, read.size - at});
  }
  if (result > 0) request.bytes_read_ += static_cast<std::uint64_t>(result);
  const ReadProgress::Next next =
      request.dropped_ ? ReadProgress::Next::finished : read.progress.take(result);
  switch (next) {
    case ReadProgress::Next::later:
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      [[fallthrough]];
    case ReadProgress::Next::again:
      // Older than all that wait, as it was under way already.
      if (request.first_ == nullptr) link_before(request);
      put_behind(request, read);
      return;
    case ReadProgress::Next::finished:
      if (read.progress.done() < read.needed && !request.error_ && !request.dropped_)
        request.error_ = read.file->end_error(read.offset, read.needed, read.progress.done());
      break;
    case ReadProgress::Next::failed:
      if (!request.error_)
        request.error_ = read.file->read_error(read.offset, read.needed, read.progress.error());
      break;
  }
  if (read.file->access() == Access::buffered) read.file->drop_cached(read.offset, read.size);
}

double ReadQueue::take_one() {
  submit_waiting();
  const double begin = monotonic_seconds();
  const ReadDone done = reads_->wait();
  const double slept = monotonic_seconds() - begin;
  take(done);
  submit_waiting();
  return slept;
}

double ReadQueue::finish(ReadRequest& request) {
  if (request.finished()) return 0;
  const CpuMeter meter(cpu_seconds_);
  if (request.first_ != nullptr) {
    unlink(request);
    request.priority_ = ReadPriority::sweep;
    link_before(request);
  }
  double slept = 0;
  while (!request.finished()) slept += take_one();
  return slept;
}

void ReadQueue::give_up(ReadRequest& request) {
  if (request.first_ != nullptr) unlink(request);
  request.first_ = nullptr;
  request.dropped_ = true;
}

double ReadQueue::drop(ReadRequest& request) {
  give_up(request);
  double slept = 0;
  if (request.under_way_ > 0) {
    const CpuMeter meter(cpu_seconds_);
    while (request.under_way_ > 0) slept += take_one();
  }
  request.dropped_ = false;
  request.error_.reset();
  return slept;
}

}  // namespace ollm::io
