// The only door to the file system: POSIX calls as virtual functions, so that tests can inject
// faults and count bytes. Leaves to others: what their results mean (file.h, atomic_replace.h).
#pragma once

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace ollm::io {

/// The calls of POSIX, as thin as they are: -1 (or what the call documents) and errno on failure,
/// short counts and EINTR passed through. Any number of threads may call at once.
class SystemCalls {
 public:
  virtual ~SystemCalls() = default;

  virtual int open(const char* path, int flags, mode_t mode) = 0;
  virtual int dup(int fd) = 0;  // closed on exec
  virtual int close(int fd) = 0;
  virtual ssize_t pread(int fd, void* buffer, std::size_t count, off_t offset) = 0;
  virtual ssize_t pwrite(int fd, const void* buffer, std::size_t count, off_t offset) = 0;
  virtual ssize_t write(int fd, const void* buffer, std::size_t count) = 0;  // never a SIGPIPE
  virtual int fchmod(int fd, mode_t mode) = 0;
  virtual int fstat(int fd, struct stat* out) = 0;
  virtual int stat(const char* path, struct stat* out) = 0;   // follows links
  virtual int lstat(const char* path, struct stat* out) = 0;  // of the link itself
  virtual int fsync(int fd) = 0;
  virtual int fdatasync(int fd) = 0;
  virtual int ftruncate(int fd, off_t size) = 0;
  virtual int fallocate(int fd, int mode, off_t offset, off_t size) = 0;  // Linux: punches holes
  virtual int fadvise(int fd, off_t offset, off_t size, int advice) = 0;  // posix_fadvise: an errno
  virtual int rename(const char* from, const char* to) = 0;
  virtual int unlink(const char* path) = 0;
  virtual int mkdir(const char* path, mode_t mode) = 0;
  virtual int flock(int fd, int operation) = 0;
  virtual int statvfs(const char* path, struct statvfs* out) = 0;

  /// A read that a queue of the kernel makes (io_uring) passes here twice, as pread is a call to it
  /// and a return from it. Before it is handed over: 0, or the errno that it ends with unmade.
  virtual int before_queued_read(int /*fd*/) { return 0; }
  /// When it is done, with what the kernel says of it (bytes, or minus an errno): what is told.
  virtual std::int64_t after_queued_read(int /*fd*/, void* /*buffer*/, off_t /*offset*/,
                                         std::int64_t moved) {
    return moved;
  }

  /// readlink(2) with room for every target; 0, or -1 and errno.
  virtual int readlink(const char* path, std::string* out) = 0;

  /// realpath(3): `path` without links, "." and ".."; 0, or -1 and errno.
  virtual int realpath(const char* path, std::string* out) = 0;

  /// opendir, readdir, closedir in one: the names in a folder but "." and "..", in the order of
  /// the file system; 0, or -1 and errno. Ends with EOVERFLOW above `limit` names.
  virtual int list(const char* path, std::size_t limit, std::vector<std::string>* names) = 0;

 protected:
  SystemCalls() = default;
  SystemCalls(const SystemCalls&) = default;
  SystemCalls& operator=(const SystemCalls&) = default;
};

/// The calls of this machine.
SystemCalls& posix();

}  // namespace ollm::io
