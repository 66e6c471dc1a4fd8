// Reads that go on while the caller computes: io_uring, or threads that call pread. Leaves to
// others: what is read where, and what a short or failed read means (read_queue.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "ollm/base/result.h"
#include "ollm/io/file.h"

namespace ollm::io {

/// One call of pread: as short as the system likes.
struct AsyncRead {
  const File* file = nullptr;
  std::uint64_t offset = 0;
  std::byte* out = nullptr;
  std::size_t size = 0;
  std::uint64_t tag = 0;  // comes back with the result
};

struct ReadDone {
  std::uint64_t tag = 0;
  std::int64_t result = 0;  // bytes, or minus errno
};

enum class ReadMethod {
  io_uring,  // the kernel's queue; containers often forbid it
  threads,   // as fast at 1 MiB and more
};
std::string_view to_string(ReadMethod method);  // "io_uring", "pread"

/// Reads under way. One thread at a time may call, and not always the same one; files and memory
/// must outlive their reads, and the destructor waits for all of them.
class AsyncReads {
 public:
  virtual ~AsyncReads() = default;

  /// What reads now: io_uring goes on with threads where the kernel stops to serve it.
  virtual ReadMethod method() const = 0;
  /// How many reads may be under way at once.
  virtual std::size_t depth() const = 0;
  /// Begins a read; fewer than depth() may be under way.
  virtual void submit(const AsyncRead& read) = 0;
  /// Sleeps until one of the reads under way is done; there must be one.
  virtual ReadDone wait() = 0;
  /// Seconds of CPU that threads of its own have spent on reads so far; what `submit` and `wait`
  /// cost the caller is not in it.
  virtual double own_cpu_seconds() const = 0;
};

/// Whether this process may use io_uring: sets a queue up and has it read, as there are containers
/// that allow the one and forbid the other.
/// Errors: unsupported, saying what the kernel said.
Result<void> probe_io_uring();
bool io_uring_allowed();

/// Reads by `method`, at least one at a time. Where io_uring is not to be had, or no thread can be
/// started, the next best way serves: threads, then the calling thread.
std::unique_ptr<AsyncReads> make_async_reads(ReadMethod method, std::size_t depth);

}  // namespace ollm::io
