// For the tests of every folder: a SystemCalls that sees the files of one folder as the whole file
// system, so that /proc, /sys and /dev of any machine are a fixture.
// Leaves to others: faults (faulty_system_calls.h, which may stand on top of it).
#pragma once

#include <cerrno>
#include <cstdint>
#include <string>
#include <utility>

#include "ollm/io/system_calls.h"

namespace ollm::io {

/// Every path is looked up below `root`; what is done to descriptors is passed on as it is.
class RootedSystemCalls final : public SystemCalls {
 public:
  explicit RootedSystemCalls(std::string root, SystemCalls& below = posix())
      : root_(std::move(root)), below_(below) {}

  int open(const char* path, int flags, mode_t mode) override {
    return below_.open(inside(path).c_str(), flags, mode);
  }
  int dup(int fd) override { return below_.dup(fd); }
  int close(int fd) override { return below_.close(fd); }
  ssize_t pread(int fd, void* buffer, std::size_t count, off_t offset) override {
    return below_.pread(fd, buffer, count, offset);
  }
  ssize_t pwrite(int fd, const void* buffer, std::size_t count, off_t offset) override {
    return below_.pwrite(fd, buffer, count, offset);
  }
  ssize_t write(int fd, const void* buffer, std::size_t count) override {
    return below_.write(fd, buffer, count);
  }
  int fchmod(int fd, mode_t mode) override { return below_.fchmod(fd, mode); }
  int fstat(int fd, struct stat* out) override { return below_.fstat(fd, out); }
  int stat(const char* path, struct stat* out) override {
    return below_.stat(inside(path).c_str(), out);
  }
  int lstat(const char* path, struct stat* out) override {
    return below_.lstat(inside(path).c_str(), out);
  }
  int fsync(int fd) override { return below_.fsync(fd); }
  int fdatasync(int fd) override { return below_.fdatasync(fd); }
  int ftruncate(int fd, off_t size) override { return below_.ftruncate(fd, size); }
  int fallocate(int fd, int mode, off_t offset, off_t size) override {
    return below_.fallocate(fd, mode, offset, size);
  }
  int fadvise(int fd, off_t offset, off_t size, int advice) override {
    return below_.fadvise(fd, offset, size, advice);
  }
  int rename(const char* from, const char* to) override {
    return below_.rename(inside(from).c_str(), inside(to).c_str());
  }
  int unlink(const char* path) override { return below_.unlink(inside(path).c_str()); }
  int mkdir(const char* path, mode_t mode) override {
    return below_.mkdir(inside(path).c_str(), mode);
  }
  int flock(int fd, int operation) override { return below_.flock(fd, operation); }
  int statvfs(const char* path, struct statvfs* out) override {
    return below_.statvfs(inside(path).c_str(), out);
  }
  int before_queued_read(int fd) override { return below_.before_queued_read(fd); }
  std::int64_t after_queued_read(int fd, void* buffer, off_t offset, std::int64_t moved) override {
    return below_.after_queued_read(fd, buffer, offset, moved);
  }
  int readlink(const char* path, std::string* out) override {
    return below_.readlink(inside(path).c_str(), out);
  }
  int realpath(const char* path, std::string* out) override {
    std::string real;
    if (below_.realpath(inside(path).c_str(), &real) != 0) return -1;
    if (!real.starts_with(root_)) {
      errno = ENOENT;  // a link that leads out of what is seen
      return -1;
    }
    *out = real.size() == root_.size() ? "/" : real.substr(root_.size());
    return 0;
  }
  int list(const char* path, std::size_t limit, std::vector<std::string>* names) override {
    return below_.list(inside(path).c_str(), limit, names);
  }

 private:
  std::string inside(const char* path) const { return root_ + path; }

  const std::string root_;  // without links and without a slash at its end
  SystemCalls& below_;
};

}  // namespace ollm::io
