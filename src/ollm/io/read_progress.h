// How a read of many bytes comes together from calls that move fewer: through interruptions, short
// reads and the end of the file. One set of rules for reads in place (file.cc) and for those under
// way (read_queue.cc). Leaves to others: making the calls.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ollm::io {

class ReadProgress {
 public:
  enum class Next {
    again,     // read on from done()
    later,     // the same, after a pause: many calls in a row moved nothing
    finished,  // done() bytes are there: all, or all up to the end of the file
    failed,    // error() says why
  };

  ReadProgress() = default;
  /// A read of `size` bytes from byte `offset` of a file of `file_size` bytes; all calls start at
  /// multiples of `alignment`.
  ReadProgress(std::uint64_t offset, std::size_t size, std::uint64_t file_size,
               std::size_t alignment)
      : offset_(offset), file_size_(file_size), size_(size), alignment_(alignment) {}

  /// Takes what a call for the bytes from done() on moved, or minus the errno that it failed with.
  Next take(std::int64_t result);

  std::size_t done() const { return done_; }
  int error() const { return error_; }

 private:
  std::uint64_t offset_ = 0;
  std::uint64_t file_size_ = 0;
  std::size_t size_ = 0;
  std::size_t alignment_ = 1;
  std::size_t done_ = 0;
  int idle_ = 0;  // calls in a row that moved nothing
  int error_ = 0;
};

/// Calls in a row that may move nothing before an attempt is given up: every loop has a limit. With
/// the pauses of Next::later, a millisecond each, that is about a second.
inline constexpr int kMaxIdleCalls = 1000;
/// From here on a pause stands between two calls.
inline constexpr int kEagerCalls = 32;

}  // namespace ollm::io
