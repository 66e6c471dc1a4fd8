#include "ollm/io/system_calls.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>

namespace ollm::io {
namespace {

class PosixCalls final : public SystemCalls {
 public:
  int open(const char* path, int flags, mode_t mode) override { return ::open(path, flags, mode); }
  int dup(int fd) override { return ::fcntl(fd, F_DUPFD_CLOEXEC, 0); }
  int close(int fd) override { return ::close(fd); }
  ssize_t pread(int fd, void* buffer, std::size_t count, off_t offset) override {
    return ::pread(fd, buffer, count, offset);
  }
  ssize_t pwrite(int fd, const void* buffer, std::size_t count, off_t offset) override {
    return ::pwrite(fd, buffer, count, offset);
  }

  // Who reads a pipe may go at any time, which is an error of the write and no end of the process.
  ssize_t write(int fd, const void* buffer, std::size_t count) override {
    sigset_t broken_pipe, before, pending;
    ::sigemptyset(&broken_pipe);
    ::sigaddset(&broken_pipe, SIGPIPE);
    ::sigpending(&pending);
    ::pthread_sigmask(SIG_BLOCK, &broken_pipe, &before);
    const ssize_t moved = ::write(fd, buffer, count);
    const int error = errno;
    if (moved < 0 && error == EPIPE && ::sigismember(&pending, SIGPIPE) == 0) {
      const timespec at_once{};
      ::sigtimedwait(&broken_pipe, nullptr, &at_once);  // takes the signal back
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    errno = error;
    return moved;
  }

  int fchmod(int fd, mode_t mode) override { return ::fchmod(fd, mode); }
  int fstat(int fd, struct stat* out) override { return ::fstat(fd, out); }
  int stat(const char* path, struct stat* out) override { return ::stat(path, out); }
  int lstat(const char* path, struct stat* out) override { return ::lstat(path, out); }
  int fsync(int fd) override { return ::fsync(fd); }
  int fdatasync(int fd) override { return ::fdatasync(fd); }
  int ftruncate(int fd, off_t size) override { return ::ftruncate(fd, size); }
  int fallocate(int fd, int mode, off_t offset, off_t size) override {
    return ::fallocate(fd, mode, offset, size);
  }
  int fadvise(int fd, off_t offset, off_t size, int advice) override {
    return ::posix_fadvise(fd, offset, size, advice);
  }
  int rename(const char* from, const char* to) override { return std::rename(from, to); }
  int unlink(const char* path) override { return ::unlink(path); }
  int mkdir(const char* path, mode_t mode) override { return ::mkdir(path, mode); }
  int flock(int fd, int operation) override { return ::flock(fd, operation); }
  int statvfs(const char* path, struct statvfs* out) override { return ::statvfs(path, out); }

  int readlink(const char* path, std::string* out) override {
    char target[PATH_MAX];
    const ssize_t size = ::readlink(path, target, sizeof target);
    if (size < 0) return -1;
    out->assign(target, static_cast<std::size_t>(size));
    return 0;
  }

  int realpath(const char* path, std::string* out) override {
    char resolved[PATH_MAX];
    if (::realpath(path, resolved) == nullptr) return -1;
    *out = resolved;
    return 0;
  }

  int list(const char* path, std::size_t limit, std::vector<std::string>* names) override {
    DIR* dir = ::opendir(path);
    if (dir == nullptr) return -1;
    names->clear();
    int error = 0;
    for (;;) {
      errno = 0;
      // NOLINTNEXTLINE(concurrency-mt-unsafe): glibc's is safe for streams that are not shared
      const dirent* entry = ::readdir(dir);
      if (entry == nullptr) {
        error = errno;
        break;
      }
      const std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      if (names->size() == limit) {
        error = EOVERFLOW;
        break;
      }
      names->push_back(name);
    }
    ::closedir(dir);
    errno = error;
    return error == 0 ? 0 : -1;
  }
};

}  // namespace

SystemCalls& posix() {
  static PosixCalls calls;
  return calls;
}

}  // namespace ollm::io
