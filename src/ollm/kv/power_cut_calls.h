// For the tests of this folder: a SystemCalls that stops to work at any call, as a process that is
// killed, and that knows what of a folder's files would be left if the power went: what was not
// synced is dropped, torn or kept, in any combination. Leaves to others: single faults
// (io/faulty_system_calls.h).
#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "ollm/base/check.h"
#include "ollm/io/system_calls.h"

namespace ollm::kv {

/// Passes calls on, counts them, and notes what changes files of the folder. Syncs are noted and
/// not made, as nothing hangs on them but the images.
class PowerCutCalls final : public io::SystemCalls {
 public:
  explicit PowerCutCalls(io::SystemCalls& below = io::posix()) : below_(below) {}

  std::uint64_t calls() const { return calls_; }
  /// Changes that were noted: an image may be made of any number of the first of them.
  std::size_t changes() const { return changes_.size(); }

  /// From the k-th call on (the first is 0) nothing works any more; what was called before stays.
  void stop_at(std::uint64_t k) { fail_at(k, EIO, /*once=*/false, /*writes_alone=*/false); }
  /// The k-th call fails, or each from then on; of those that write, or of all.
  void fail_at(std::uint64_t k, int error, bool once, bool writes_alone) {
    failure_ = {.at = k, .error = error, .once = once, .writes_alone = writes_alone};
  }
  void heal() { failure_.reset(); }

  /// Makes the folder `to` as it may be found where the power went after `changes` changes.
  void write_image(const std::filesystem::path& to, std::size_t changes, std::uint64_t seed) const {
    std::mt19937_64 random(seed);
    // How much of what was not synced is there: nothing, all, or anything between.
    const std::uint64_t kept_in_16 = std::uint64_t{0x10} * (random() % 3) / 2;
    const auto is_kept = [&] { return random() % 16 < kept_in_16; };
    const std::size_t unit = random() % 2 == 0 ? 512 : 4096;
    std::map<std::string, int> names;
    std::map<int, std::string> contents;
    for (std::size_t i = 0; i < changes; ++i) {
      const Change& change = changes_[i];
      const bool is_durable = synced_within(i, changes);
      switch (change.kind) {
        case Kind::create:
          contents[change.file];
          if (is_durable || is_kept()) names[change.name] = change.file;
          break;
        case Kind::remove:
          if (is_durable || is_kept()) names.erase(change.name);
          break;
        case Kind::cut:
          if (is_durable || is_kept()) contents[change.file].resize(change.offset);
          break;
        case Kind::punch:
          for (std::size_t at = 0; at < change.size; at += unit)
            if (is_durable || is_kept())
              put(contents[change.file], change.offset + at,
                  std::string(std::min(unit, change.size - at), '\0'), /*grow=*/false);
          break;
        case Kind::write:
          for (std::size_t at = 0; at < change.bytes.size(); at += unit)
            if (is_durable || is_kept())
              put(contents[change.file], change.offset + at, change.bytes.substr(at, unit),
                  /*grow=*/true);
          break;
        case Kind::sync:
        case Kind::sync_folder:
          break;
      }
    }
    std::filesystem::remove_all(to);
    std::filesystem::create_directory(to);
    std::filesystem::permissions(to, std::filesystem::perms::owner_all);
    for (const auto& [name, file] : names) write_file(to / name, contents[file]);
  }

  int open(const char* path, int flags, mode_t mode) override {
    if (fails(false)) return -1;
    struct stat status{};
    const bool is_new = (flags & O_CREAT) != 0 && below_.lstat(path, &status) != 0;
    const int fd = below_.open(path, flags, mode);
    if (fd < 0) return fd;
    const std::string name = std::filesystem::path(path).filename();
    std::lock_guard lock(mutex_);
    if (is_new) {
      by_name_[name] = ++last_file_;
      changes_.push_back({.kind = Kind::create, .file = last_file_, .name = name, .bytes = {}});
    }
    if ((flags & O_DIRECTORY) != 0) {
      open_[fd] = kFolder;
    } else if (const auto found = by_name_.find(name); found != by_name_.end()) {
      open_[fd] = found->second;
    }
    return fd;
  }
  int dup(int fd) override { return fails(false) ? -1 : below_.dup(fd); }
  int close(int fd) override {  // the system closes what a dead process had open
    ++calls_;
    std::lock_guard lock(mutex_);
    open_.erase(fd);
    return below_.close(fd);
  }
  ssize_t pread(int fd, void* buffer, std::size_t count, off_t offset) override {
    return fails(false) ? -1 : below_.pread(fd, buffer, count, offset);
  }
  ssize_t pwrite(int fd, const void* buffer, std::size_t count, off_t offset) override {
    if (fails(true)) return -1;
    const ssize_t moved = below_.pwrite(fd, buffer, count, offset);
    if (moved > 0)
      note(fd, {.kind = Kind::write,
                .offset = static_cast<std::uint64_t>(offset),
                .name = {},
                .bytes = {static_cast<const char*>(buffer), static_cast<std::size_t>(moved)}});
    return moved;
  }
  ssize_t write(int fd, const void* buffer, std::size_t count) override {
    return fails(true) ? -1 : below_.write(fd, buffer, count);
  }
  int fchmod(int fd, mode_t mode) override { return fails(false) ? -1 : below_.fchmod(fd, mode); }
  int fstat(int fd, struct stat* out) override { return fails(false) ? -1 : below_.fstat(fd, out); }
  int stat(const char* path, struct stat* out) override {
    return fails(false) ? -1 : below_.stat(path, out);
  }
  int lstat(const char* path, struct stat* out) override {
    return fails(false) ? -1 : below_.lstat(path, out);
  }
  int fsync(int fd) override { return sync(fd); }
  int fdatasync(int fd) override { return sync(fd); }
  int ftruncate(int fd, off_t size) override {
    if (fails(false)) return -1;
    const int result = below_.ftruncate(fd, size);
    if (result == 0)
      note(
          fd,
          {.kind = Kind::cut, .offset = static_cast<std::uint64_t>(size), .name = {}, .bytes = {}});
    return result;
  }
  int fallocate(int fd, int mode, off_t offset, off_t size) override {
    if (fails(false)) return -1;
    const int result = below_.fallocate(fd, mode, offset, size);
    if (result == 0)
      note(fd, {.kind = Kind::punch,
                .offset = static_cast<std::uint64_t>(offset),
                .size = static_cast<std::size_t>(size),
                .name = {},
                .bytes = {}});
    return result;
  }
  int fadvise(int, off_t, off_t, int) override { return fails(false) ? EIO : 0; }
  int rename(const char* from, const char* to) override {
    return fails(true) ? -1 : below_.rename(from, to);
  }
  int unlink(const char* path) override {
    if (fails(false)) return -1;
    const int result = below_.unlink(path);
    const std::string name = std::filesystem::path(path).filename();
    std::lock_guard lock(mutex_);
    if (result == 0)
      changes_.push_back({.kind = Kind::remove, .file = by_name_[name], .name = name, .bytes = {}});
    by_name_.erase(name);
    return result;
  }
  int mkdir(const char* path, mode_t mode) override {
    return fails(true) ? -1 : below_.mkdir(path, mode);
  }
  int flock(int fd, int operation) override {
    return fails(false) ? -1 : below_.flock(fd, operation);
  }
  int statvfs(const char* path, struct statvfs* out) override {
    return fails(false) ? -1 : below_.statvfs(path, out);
  }
  int readlink(const char* path, std::string* out) override {
    return fails(false) ? -1 : below_.readlink(path, out);
  }
  int realpath(const char* path, std::string* out) override {
    return fails(false) ? -1 : below_.realpath(path, out);
  }
  int list(const char* path, std::size_t limit, std::vector<std::string>* names) override {
    return fails(false) ? -1 : below_.list(path, limit, names);
  }

 private:
  static constexpr int kFolder = 0;
  enum class Kind { create, remove, write, cut, punch, sync, sync_folder };
  struct Change {
    Kind kind;
    int file = kFolder;
    std::uint64_t offset = 0;  // of a cut: the size
    std::size_t size = 0;
    std::string name;
    std::string bytes;
  };
  struct Failure {
    std::uint64_t at = 0;
    int error = 0;
    bool once = false;
    bool writes_alone = false;
  };

  bool fails(bool is_write) {
    const std::uint64_t now = calls_++;
    if (!failure_ || now < failure_->at || (failure_->writes_alone && !is_write)) return false;
    errno = failure_->error;
    if (failure_->once) failure_.reset();
    return true;
  }

  void note(int fd, Change change) {
    std::lock_guard lock(mutex_);
    const auto found = open_.find(fd);
    if (found == open_.end()) return;
    change.file = found->second;
    changes_.push_back(std::move(change));
  }

  int sync(int fd) {
    if (fails(true)) return -1;  // where space is given when it is written back
    std::lock_guard lock(mutex_);
    const auto found = open_.find(fd);
    if (found == open_.end()) return 0;
    changes_.push_back({.kind = found->second == kFolder ? Kind::sync_folder : Kind::sync,
                        .file = found->second,
                        .name = {},
                        .bytes = {}});
    return 0;
  }

  // Whether a sync makes change `i` durable among the first `end`.
  bool synced_within(std::size_t i, std::size_t end) const {
    const Change& change = changes_[i];
    const bool of_folder = change.kind == Kind::create || change.kind == Kind::remove;
    for (std::size_t at = i + 1; at < end; ++at) {
      if (of_folder && changes_[at].kind == Kind::sync_folder) return true;
      if (!of_folder && changes_[at].kind == Kind::sync && changes_[at].file == change.file)
        return true;
    }
    return false;
  }

  static void put(std::string& content, std::uint64_t offset, const std::string& bytes, bool grow) {
    const std::size_t end = offset + bytes.size();
    if (content.size() < end) {
      if (!grow && content.size() <= offset) return;
      if (grow) content.resize(end);
    }
    content.replace(offset, std::min(bytes.size(), content.size() - offset), bytes, 0,
                    std::min(bytes.size(), content.size() - offset));
  }

  static void write_file(const std::filesystem::path& path, const std::string& content) {
    std::ofstream out(path, std::ios::binary);
    out << content;
    out.close();
    OLLM_CHECK(out.good());
    std::filesystem::permissions(
        path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  }

  io::SystemCalls& below_;
  std::atomic<std::uint64_t> calls_ = 0;
  std::optional<Failure> failure_;
  std::mutex mutex_;
  // Guarded by mutex_.
  std::map<std::string, int> by_name_;
  std::map<int, int> open_;  // descriptor to file
  std::vector<Change> changes_;
  int last_file_ = kFolder;
};

}  // namespace ollm::kv
