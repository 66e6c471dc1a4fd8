// All reads of a runtime as one stream: in which order they go to the disk, and what becomes of
// those that come back short or failed. Leaves to others: the memory that they fill
// (slot_ring.h) and how a single read is made (async_reads.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "ollm/base/result.h"
#include "ollm/io/async_reads.h"
#include "ollm/io/file.h"
#include "ollm/io/read_progress.h"

namespace ollm::io {

/// Whose reads go first where several wait.
enum class ReadPriority {
  sweep,       // will be used, in the order in which they were begun
  guess,       // may be used: what a sweep seems to want next
  background,  // nobody waits for them
};
inline constexpr std::size_t kReadPriorities = 3;

class ReadRequest;

/// One aligned piece of a file, on its way to memory.
struct QueuedRead {
  const File* file = nullptr;
  std::uint64_t offset = 0;
  std::byte* out = nullptr;
  std::size_t size = 0;
  std::size_t needed = 0;  // bytes from offset on that must be there; the file may end behind them

  // of the queue
  ReadRequest* request = nullptr;
  QueuedRead* behind = nullptr;  // the request's next one that waits
  bool asked_again = false;      // of the file itself, by pread
  ReadProgress progress;
};

/// Reads that are begun and waited for together, again and again. Does not move meanwhile.
class ReadRequest {
 public:
  /// Whether none of its reads waits or is under way.
  bool finished() const { return first_ == nullptr && under_way_ == 0; }
  /// The first that one of its reads met since it was begun.
  const std::optional<Error>& error() const { return error_; }
  /// Since it was made.
  std::uint64_t bytes_read() const { return bytes_read_; }

 private:
  friend class ReadQueue;

  ReadPriority priority_ = ReadPriority::sweep;
  QueuedRead* first_ = nullptr;  // of its reads that wait, in order
  QueuedRead* last_ = nullptr;
  std::size_t under_way_ = 0;
  bool dropped_ = false;           // what is under way need not arrive
  ReadRequest* before_ = nullptr;  // its neighbours of equal priority, where it waits
  ReadRequest* behind_ = nullptr;
  std::optional<Error> error_;
  std::uint64_t bytes_read_ = 0;
};

/// The one owner of asynchronous reads, under any number of rings. One thread at a time; allocates
/// nothing after it was made.
///
/// A few reads are under way at once; the others wait, by priority and then in the order in which
/// they were begun. A request that is waited for goes before all that wait. Short reads, EINTR and
/// EAGAIN are read on from where they stopped. An error that may be the kernel's queue's own (a
/// thread that ends takes the reads that it began with it) is asked of the file once more, by
/// pread. An error stays with its request; the others go on.
class ReadQueue {
 public:
  /// Reads under way at once: a handful keeps the disk busy, more adds nothing (measured with bare
  /// readers of 1 to 4 MiB).
  static constexpr std::size_t kReadsUnderWay = 8;

  explicit ReadQueue(ReadMethod method) : ReadQueue(make_async_reads(method, kReadsUnderWay)) {}
  explicit ReadQueue(std::unique_ptr<AsyncReads> reads);
  /// All rings on it are gone by then.
  ~ReadQueue();
  ReadQueue(const ReadQueue&) = delete;
  ReadQueue& operator=(const ReadQueue&) = delete;

  /// What reads now.
  ReadMethod method() const { return reads_->method(); }
  /// Seconds of CPU that reading took so far, on the calling thread and on those of its own.
  double cpu_seconds() const { return cpu_seconds_ + reads_->own_cpu_seconds(); }

  /// For owners of requests (slot_ring.h).
  ///@{
  /// Puts a read behind the others of a finished request. `begin` then begins them all.
  static void add(ReadRequest& request, QueuedRead& read);
  void begin(ReadRequest& request, ReadPriority priority);
  /// Sleeps until the request is finished; the seconds that it slept.
  double finish(ReadRequest& request);
  /// Takes back what waits; what is under way need not arrive any more.
  void give_up(ReadRequest& request);
  /// Gives up, sleeps until what is under way came back, and forgets what came of it; the seconds
  /// that it slept.
  double drop(ReadRequest& request);
  ///@}

 private:
  // Requests of one priority that have waiting reads.
  struct Waiting {
    ReadRequest* first = nullptr;
    ReadRequest* last = nullptr;
  };

  static void put_behind(ReadRequest& request, QueuedRead& read);
  Waiting& waiting(const ReadRequest& request);
  void link_behind(ReadRequest& request);
  void link_before(ReadRequest& request);
  void unlink(ReadRequest& request);
  void submit_waiting();
  void take(const ReadDone& done);
  double take_one();

  const std::unique_ptr<AsyncReads> reads_;
  Waiting waiting_[kReadPriorities];
  std::size_t under_way_ = 0;
  double cpu_seconds_ = 0;
};

}  // namespace ollm::io
