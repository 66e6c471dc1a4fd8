// For the tests of every folder: a SystemCalls that fails, tears, shrinks and replaces as scripted,
// repeatably by seed, and counts what was asked. Leaves to others: power loss (tests of kv/).
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "ollm/io/system_calls.h"

namespace ollm::io {

/// Passes every call on to another SystemCalls, but for the faults that a test scripted. Faults
/// may be combined. Any number of threads may call; which of them meets the k-th call is then open.
///
/// A read by a queue of the kernel counts as a call of pread, and meets all that pread meets.
class FaultySystemCalls final : public SystemCalls {
 public:
  enum class Call {
    open,
    dup,
    close,
    pread,
    pwrite,
    write,
    fchmod,
    fstat,
    stat,
    lstat,
    fsync,
    fdatasync,
    ftruncate,
    fallocate,
    fadvise,
    rename,
    unlink,
    mkdir,
    flock,
    statvfs,
    readlink,
    realpath,
    list,
  };
  static constexpr std::size_t kCalls = static_cast<std::size_t>(Call::list) + 1;
  enum class Repeat { once, sticky };

  explicit FaultySystemCalls(SystemCalls& below = posix());

  /// From now on only files whose path ends with `path_suffix` meet faults and are counted.
  void restrict_to(std::string path_suffix);

  /// The k-th matching `call` from now on (the first is 0) fails with errno `error`, once or from
  /// then on always.
  void fail(Call call, std::uint64_t k, int error, Repeat repeat = Repeat::once);

  /// Every pread and pwrite of n > 1 bytes moves only 1 to n - 1 of them, mostly.
  void tear_transfers(std::uint64_t seed);

  /// Before a pread or pwrite comes a burst of 0 to `longest_burst` calls that move nothing and
  /// fail with EINTR or EAGAIN.
  void interrupt_transfers(std::uint64_t seed, std::uint32_t longest_burst);

  /// The file as another process would leave it, seen after `after_reads` more calls of pread:
  /// cut off at `size_bytes` (and with another time), replaced by another file of the same size
  /// under its name, or written to (another time only).
  void shrink(std::uint64_t size_bytes, std::uint64_t after_reads = 0);
  void replace(std::uint64_t after_reads = 0);
  void touch(std::uint64_t after_reads = 0);

  /// A file system that takes O_DIRECT when a file is opened and refuses the reads: EINVAL.
  void refuse_direct_reads();

  /// Ends all faults; the counters go on.
  void heal();

  std::uint64_t count(Call call) const;
  std::uint64_t bytes_read() const;
  std::uint64_t bytes_written() const;
  /// Descriptors that were opened and not closed.
  std::size_t open_files() const;

  int open(const char* path, int flags, mode_t mode) override;
  int dup(int fd) override;
  int close(int fd) override;
  ssize_t pread(int fd, void* buffer, std::size_t count, off_t offset) override;
  ssize_t pwrite(int fd, const void* buffer, std::size_t count, off_t offset) override;
  ssize_t write(int fd, const void* buffer, std::size_t count) override;
  int fchmod(int fd, mode_t mode) override;
  int fstat(int fd, struct stat* out) override;
  int stat(const char* path, struct stat* out) override;
  int lstat(const char* path, struct stat* out) override;
  int fsync(int fd) override;
  int fdatasync(int fd) override;
  int ftruncate(int fd, off_t size) override;
  int fallocate(int fd, int mode, off_t offset, off_t size) override;
  int fadvise(int fd, off_t offset, off_t size, int advice) override;
  int rename(const char* from, const char* to) override;
  int unlink(const char* path) override;
  int mkdir(const char* path, mode_t mode) override;
  int flock(int fd, int operation) override;
  int statvfs(const char* path, struct statvfs* out) override;
  int before_queued_read(int fd) override;
  std::int64_t after_queued_read(int fd, void* buffer, off_t offset, std::int64_t moved) override;
  int readlink(const char* path, std::string* out) override;
  int realpath(const char* path, std::string* out) override;
  int list(const char* path, std::size_t limit, std::vector<std::string>* names) override;

 private:
  struct Failure {
    Call call;
    std::uint64_t at;  // the value of counts_ at which it strikes
    int error;
    Repeat repeat;
  };
  struct Change {
    enum class Kind { shrink, replace, touch } kind;
    std::uint64_t from_reads;  // the value of counts_[pread] from which it is seen
    std::uint64_t size_bytes;
  };

  // All of these are called with mutex_ held.
  bool matches(const std::string& path) const;
  bool matches(int fd) const;
  bool strikes(Call call, bool matching);  // counts the call; true with errno set where it fails
  bool interrupted();
  std::size_t torn(std::size_t count);
  int refused_read(int fd);  // counts the read; the errno that it fails with, or 0
  void disguise(struct stat* out, bool by_path) const;

  // What is told of a read that moved so many bytes; takes mutex_.
  std::size_t told(int fd, void* buffer, off_t offset, std::size_t moved);

  SystemCalls& below_;  // constant after construction

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::string path_suffix_;
  std::map<int, std::string> paths_;  // of open descriptors
  std::vector<Failure> failures_;
  std::vector<Change> changes_;
  std::uint64_t counts_[kCalls] = {};
  std::uint64_t bytes_read_ = 0;
  std::uint64_t bytes_written_ = 0;
  std::set<int> direct_;  // of them, those that were opened with O_DIRECT
  bool direct_refused_ = false;
  bool tearing_ = false;
  std::mt19937_64 tear_random_;
  std::uint32_t longest_burst_ = 0;
  std::uint32_t burst_left_ = 0;
  bool burst_over_ = false;
  std::mt19937_64 burst_random_;
};

}  // namespace ollm::io
