// Reading files at given offsets: whole, through interruptions, and noticing when they change.
// Leaves to others: reading ahead (slot_ring.h), what the bytes mean, writing
// (atomic_replace.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "ollm/base/result.h"
#include "ollm/io/system_calls.h"

namespace ollm::io {

enum class Access {
  buffered,  // through the page cache, at any offset
  direct,    // O_DIRECT: the page cache is passed by, offsets and buffers are aligned
};

/// Which file this is and in what state: two equal identities mean the same unchanged bytes, as
/// far as the file system tells.
struct FileIdentity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t size_bytes = 0;
  std::int64_t mtime_ns = 0;  // since 1970
  /// When anything of the file was last changed, its times and names included: what a program that
  /// puts mtime_ns back cannot put back.
  std::int64_t ctime_ns = 0;

  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

/// A regular file opened for reading at given offsets.
///
/// Owns the descriptor: closes it, moves, never copies; never maps the file, as a file that
/// shrinks would then be a SIGBUS. Any number of threads may call the const members at once, since
/// no position is kept. `calls` has to outlive the file.
class File {
 public:
  /// Opens `path` for reading and notes its identity. With `Access::direct` offsets, sizes and
  /// buffers must be multiples of `alignment_bytes()`. Never waits on a FIFO or device: what is not
  /// a regular file is refused.
  /// Errors: not_found; invalid_argument for a path with a NUL and for what is no regular file;
  /// unsupported where the file system has no direct access; io.
  static Result<File> open(const std::filesystem::path& path, Access access = Access::buffered,
                           SystemCalls& calls = posix());

  /// As open, for a file of ours that is appended to while it is read: it has no size of its own
  /// (size_bytes() is the largest there can be), and a read ends where the file then does. A link
  /// at the end of the path is not followed. Errors: as open; io for a link.
  static Result<File> open_growing(const std::filesystem::path& path,
                                   Access access = Access::buffered, SystemCalls& calls = posix());

  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();

  /// The same file opened once more, e.g. for direct access after its header was read buffered.
  /// Errors: as open; corrupt where another file lies under the path by now.
  Result<File> reopen(Access access) const;

  /// Fills all of `out` from byte `offset`, through interrupted and short reads.
  /// Errors: io; corrupt if the file ends first, as callers ask only for bytes that a
  /// header promised. Both name the file and the byte.
  Result<void> read_at(std::uint64_t offset, std::span<std::byte> out) const;

  /// As read_at, but the file may end first: the number of bytes read. For the end of a file under
  /// direct access (a whole aligned piece is asked for, fewer bytes come) and for files whose size
  /// the system does not tell (/proc).
  /// Errors: io.
  Result<std::size_t> read_up_to(std::uint64_t offset, std::span<std::byte> out) const;

  /// One call of pread, as it comes: bytes moved, 0 at the end of the file, or minus errno.
  std::int64_t read_once(std::uint64_t offset, std::span<std::byte> out) const;

  /// For a read by a queue of the kernel, which passes the calls of this file by (SystemCalls says
  /// what the two stand for): asked before it is handed over, 0 or minus errno; and given what came
  /// of it, what counts.
  int before_queued_read() const { return -calls_->before_queued_read(fd_); }
  std::int64_t after_queued_read(std::uint64_t offset, std::byte* out, std::int64_t moved) const {
    return calls_->after_queued_read(fd_, out, static_cast<off_t>(offset), moved);
  }

  /// The errors of a read of `size` bytes at `offset`, in the words of read_at: what the system
  /// said, and that the file ended after `done` bytes.
  Error read_error(std::uint64_t offset, std::size_t size, int error) const;
  Error end_error(std::uint64_t offset, std::size_t size, std::size_t done) const;

  /// Asks the page cache to forget these bytes, which will not be read again soon.
  void drop_cached(std::uint64_t offset, std::uint64_t size) const;

  /// That the file is still the one opened: the descriptor, so that a cut or written file is
  /// noticed, and the path, so that a replaced one is.
  /// Errors: corrupt ("file changed while in use: ...", saying how); io.
  Result<void> check_unchanged() const;

  const std::filesystem::path& path() const { return path_; }
  Access access() const { return access_; }
  /// As it was when the file was opened; of one that grows, its size is the largest there can be.
  const FileIdentity& identity() const { return identity_; }
  std::uint64_t size_bytes() const { return identity_.size_bytes; }
  /// 1 for buffered access. For direct access 4096: a multiple of what every block device in use
  /// asks for (512 or 4096).
  std::size_t alignment_bytes() const { return access_ == Access::direct ? kDirectAlignment : 1; }
  /// For asynchronous reads; stays owned by this object.
  int descriptor() const { return fd_; }

  static constexpr std::size_t kDirectAlignment = 4096;

 private:
  enum class Links { follow, refuse };

  File(std::filesystem::path path, Access access, int fd, SystemCalls& calls);
  static Result<File> open(const std::filesystem::path& path, Access access, Links links,
                           SystemCalls& calls);

  std::filesystem::path path_;
  Access access_ = Access::buffered;
  int fd_ = -1;  // -1 after being moved from
  FileIdentity identity_;
  SystemCalls* calls_ = nullptr;
};

/// All bytes of a file, for files that are small by nature. Does not trust the size that the
/// system tells: it reads on until the file ends, so that /proc and growing files come out whole.
/// Errors: as File::open; unsupported above `limit_bytes`, naming size and limit; io.
Result<std::string> read_whole_file(const std::filesystem::path& path, std::uint64_t limit_bytes,
                                    SystemCalls& calls = posix());

/// A call on `path` that failed with `error`, as "PATH: doing: words": not_found where something of
/// the path is not there, else io.
Error system_error(const std::filesystem::path& path, std::string_view doing, int error);

/// An error number in words, thread-safe: "No such file or directory".
std::string describe_errno(int error);

}  // namespace ollm::io
