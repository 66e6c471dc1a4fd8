#include "ollm/io/faulty_system_calls.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace ollm::io {

FaultySystemCalls::FaultySystemCalls(SystemCalls& below) : below_(below) {}

void FaultySystemCalls::restrict_to(std::string path_suffix) {
  std::lock_guard lock(mutex_);
  path_suffix_ = std::move(path_suffix);
}

void FaultySystemCalls::fail(Call call, std::uint64_t k, int error, Repeat repeat) {
  std::lock_guard lock(mutex_);
  failures_.push_back({call, counts_[static_cast<std::size_t>(call)] + k, error, repeat});
}

void FaultySystemCalls::tear_transfers(std::uint64_t seed) {
  std::lock_guard lock(mutex_);
  tearing_ = true;
  tear_random_.seed(seed);
}

void FaultySystemCalls::interrupt_transfers(std::uint64_t seed, std::uint32_t longest_burst) {
  std::lock_guard lock(mutex_);
  longest_burst_ = longest_burst;
  burst_random_.seed(seed);
}

void FaultySystemCalls::shrink(std::uint64_t size_bytes, std::uint64_t after_reads) {
  std::lock_guard lock(mutex_);
  changes_.push_back({Change::Kind::shrink,
                      counts_[static_cast<std::size_t>(Call::pread)] + after_reads, size_bytes});
}

void FaultySystemCalls::replace(std::uint64_t after_reads) {
  std::lock_guard lock(mutex_);
  changes_.push_back(
      {Change::Kind::replace, counts_[static_cast<std::size_t>(Call::pread)] + after_reads, 0});
}

void FaultySystemCalls::touch(std::uint64_t after_reads) {
  std::lock_guard lock(mutex_);
  changes_.push_back(
      {Change::Kind::touch, counts_[static_cast<std::size_t>(Call::pread)] + after_reads, 0});
}

void FaultySystemCalls::refuse_direct_reads() {
  std::lock_guard lock(mutex_);
  direct_refused_ = true;
}

void FaultySystemCalls::heal() {
  std::lock_guard lock(mutex_);
  direct_refused_ = false;
  failures_.clear();
  changes_.clear();
  tearing_ = false;
  longest_burst_ = 0;
  burst_left_ = 0;
}

std::uint64_t FaultySystemCalls::count(Call call) const {
  std::lock_guard lock(mutex_);
  return counts_[static_cast<std::size_t>(call)];
}

std::uint64_t FaultySystemCalls::bytes_read() const {
  std::lock_guard lock(mutex_);
  return bytes_read_;
}

std::uint64_t FaultySystemCalls::bytes_written() const {
  std::lock_guard lock(mutex_);
  return bytes_written_;
}

std::size_t FaultySystemCalls::open_files() const {
  std::lock_guard lock(mutex_);
  return paths_.size();
}

bool FaultySystemCalls::matches(const std::string& path) const {
  return path.ends_with(path_suffix_);
}

bool FaultySystemCalls::matches(int fd) const {
  const auto found = paths_.find(fd);
  return found != paths_.end() ? matches(found->second) : path_suffix_.empty();
}

bool FaultySystemCalls::strikes(Call call, bool matching) {
  if (!matching) return false;
  const std::uint64_t now = counts_[static_cast<std::size_t>(call)]++;
  for (const Failure& failure : failures_) {
    if (failure.call != call) continue;
    if (failure.repeat == Repeat::once ? now == failure.at : now >= failure.at) {
      errno = failure.error;
      return true;
    }
  }
  return false;
}

bool FaultySystemCalls::interrupted() {
  if (longest_burst_ == 0) return false;
  if (burst_left_ == 0) {
    if (burst_over_) {  // let one transfer through between two bursts
      burst_over_ = false;
      return false;
    }
    burst_left_ = static_cast<std::uint32_t>(burst_random_() % (longest_burst_ + 1));
    if (burst_left_ == 0) return false;
  }
  --burst_left_;
  burst_over_ = burst_left_ == 0;
  errno = burst_random_() % 2 == 0 ? EINTR : EAGAIN;
  return true;
}

std::size_t FaultySystemCalls::torn(std::size_t count) {
  // One in eight goes through whole, so that both paths are taken.
  if (!tearing_ || count < 2 || tear_random_() % 8 == 0) return count;
  return 1 + static_cast<std::size_t>(tear_random_() % (count - 1));
}

void FaultySystemCalls::disguise(struct stat* out, bool by_path) const {
  const std::uint64_t reads = counts_[static_cast<std::size_t>(Call::pread)];
  for (const Change& change : changes_) {
    if (reads < change.from_reads) continue;
    switch (change.kind) {
      case Change::Kind::shrink:
        if (out->st_size > static_cast<off_t>(change.size_bytes))
          out->st_size = static_cast<off_t>(change.size_bytes);
        out->st_mtim.tv_sec += 1;
        break;
      case Change::Kind::replace:  // the descriptor still has the old file
        if (by_path) out->st_ino += 1;
        break;
      case Change::Kind::touch:
        out->st_mtim.tv_sec += 1;
        break;
    }
  }
}

int FaultySystemCalls::open(const char* path, int flags, mode_t mode) {
  std::lock_guard lock(mutex_);
  if (strikes(Call::open, matches(path))) return -1;
  const int fd = below_.open(path, flags, mode);
  if (fd >= 0) paths_[fd] = path;
  if (fd >= 0 && (flags & O_DIRECT) != 0) direct_.insert(fd);
  return fd;
}

int FaultySystemCalls::dup(int fd) {
  std::lock_guard lock(mutex_);
  if (strikes(Call::dup, matches(fd))) return -1;
  const int copy = below_.dup(fd);
  const auto found = paths_.find(fd);
  if (copy >= 0) paths_[copy] = found != paths_.end() ? found->second : std::string();
  return copy;
}

int FaultySystemCalls::close(int fd) {
  std::lock_guard lock(mutex_);
  const bool struck = strikes(Call::close, matches(fd));
  const int error = errno;
  paths_.erase(fd);
  direct_.erase(fd);
  const int result = below_.close(fd);  // as on Linux: closed even where an error is reported
  if (!struck) return result;
  errno = error;
  return -1;
}

int FaultySystemCalls::refused_read(int fd) {
  if (!matches(fd)) return 0;
  if (interrupted()) return errno;  // moves nothing, and is no read that k counts
  if (strikes(Call::pread, true)) return errno;
  return direct_refused_ && direct_.contains(fd) ? EINVAL : 0;
}

// Cut after the call, since direct access refuses a count that is not whole sectors. What lies
// behind the bytes that count is spoilt: nobody may rely on it.
std::size_t FaultySystemCalls::told(int fd, void* buffer, off_t offset, std::size_t moved) {
  std::lock_guard lock(mutex_);
  if (!matches(fd)) return moved;
  std::size_t left = moved;
  for (const Change& change : changes_) {
    if (change.kind != Change::Kind::shrink) continue;
    if (counts_[static_cast<std::size_t>(Call::pread)] <= change.from_reads) continue;
    const auto end = static_cast<off_t>(change.size_bytes);
    left = offset >= end ? 0 : std::min(left, static_cast<std::size_t>(end - offset));
  }
  left = torn(left);
  std::memset(static_cast<char*>(buffer) + left, 0xa5, moved - left);
  bytes_read_ += left;
  return left;
}

ssize_t FaultySystemCalls::pread(int fd, void* buffer, std::size_t count, off_t offset) {
  {
    std::lock_guard lock(mutex_);
    if (const int error = refused_read(fd); error != 0) {
      errno = error;
      return -1;
    }
  }
  const ssize_t moved = below_.pread(fd, buffer, count, offset);
  if (moved <= 0) return moved;
  return static_cast<ssize_t>(told(fd, buffer, offset, static_cast<std::size_t>(moved)));
}

int FaultySystemCalls::before_queued_read(int fd) {
  {
    std::lock_guard lock(mutex_);
    if (const int error = refused_read(fd); error != 0) return error;
  }
  return below_.before_queued_read(fd);
}

std::int64_t FaultySystemCalls::after_queued_read(int fd, void* buffer, off_t offset,
                                                  std::int64_t moved) {
  moved = below_.after_queued_read(fd, buffer, offset, moved);
  if (moved <= 0) return moved;
  return static_cast<std::int64_t>(told(fd, buffer, offset, static_cast<std::size_t>(moved)));
}

ssize_t FaultySystemCalls::pwrite(int fd, const void* buffer, std::size_t count, off_t offset) {
  std::lock_guard lock(mutex_);
  const bool matching = matches(fd);
  if (matching) {
    if (interrupted()) return -1;
    if (strikes(Call::pwrite, matching)) return -1;
    count = torn(count);
  }
  const ssize_t moved = below_.pwrite(fd, buffer, count, offset);
  if (matching && moved > 0) bytes_written_ += static_cast<std::uint64_t>(moved);
  return moved;
}

ssize_t FaultySystemCalls::write(int fd, const void* buffer, std::size_t count) {
  {
    std::lock_guard lock(mutex_);
    if (strikes(Call::write, matches(fd))) return -1;
    count = torn(count);
  }
  const ssize_t moved = below_.write(fd, buffer, count);  // may wait
  std::lock_guard lock(mutex_);
  if (moved > 0 && matches(fd)) bytes_written_ += static_cast<std::uint64_t>(moved);
  return moved;
}

int FaultySystemCalls::fchmod(int fd, mode_t mode) {
  std::lock_guard lock(mutex_);
  if (strikes(Call::fchmod, matches(fd))) return -1;
  return below_.fchmod(fd, mode);
}

int FaultySystemCalls::fstat(int fd, struct stat* out) {
  std::lock_guard lock(mutex_);
  const bool matching = matches(fd);
  if (strikes(Call::fstat, matching)) return -1;
  const int result = below_.fstat(fd, out);
  if (result == 0 && matching) disguise(out, /*by_path=*/false);
  return result;
}

int FaultySystemCalls::stat(const char* path, struct stat* out) {
  std::lock_guard lock(mutex_);
  const bool matching = matches(path);
  if (strikes(Call::stat, matching)) return -1;
  const int result = below_.stat(path, out);
  if (result == 0 && matching) disguise(out, /*by_path=*/true);
  return result;
}

int FaultySystemCalls::lstat(const char* path, struct stat* out) {
  std::lock_guard lock(mutex_);
  const bool matching = matches(path);
  if (strikes(Call::lstat, matching)) return -1;
  const int result = below_.lstat(path, out);
  if (result == 0 && matching) disguise(out, /*by_path=*/true);
  return result;
}

int FaultySystemCalls::fsync(int fd) {
  std::lock_guard lock(mutex_);
  if (strikes(Call::fsync, matches(fd))) return -1;
  return below_.fsync(fd);
}

int FaultySystemCalls::fdatasync(int fd) {
  std::lock_guard lock(mutex_);
  if (strikes(Call::fdatasync, matches(fd))) return -1;
  return below_.fdatasync(fd);
}

int FaultySystemCalls::ftruncate(int fd, off_t size) {
  std::lock_guard lock(mutex_);
  if (strikes(Call::ftruncate, matches(fd))) return -1;
  return below_.ftruncate(fd, size);
}

int FaultySystemCalls::fallocate(int fd, int mode, off_t offset, off_t size) {
  std::lock_guard lock(mutex_);
  if (strikes(Call::fallocate, matches(fd))) return -1;
  return below_.fallocate(fd, mode, offset, size);
}

int FaultySystemCalls::fadvise(int fd, off_t offset, off_t size, int advice) {
  std::lock_guard lock(mutex_);
  if (strikes(Call::fadvise, matches(fd))) return errno;
  return below_.fadvise(fd, offset, size, advice);
}

int FaultySystemCalls::rename(const char* from, const char* to) {
  std::lock_guard lock(mutex_);
  if (strikes(Call::rename, matches(to))) return -1;
  return below_.rename(from, to);
}

int FaultySystemCalls::unlink(const char* path) {
  std::lock_guard lock(mutex_);
  if (strikes(Call::unlink, matches(path))) return -1;
  return below_.unlink(path);
}

int FaultySystemCalls::mkdir(const char* path, mode_t mode) {
  std::lock_guard lock(mutex_);
  if (strikes(Call::mkdir, matches(path))) return -1;
  return below_.mkdir(path, mode);
}

int FaultySystemCalls::flock(int fd, int operation) {
  {
    std::lock_guard lock(mutex_);
    if (strikes(Call::flock, matches(fd))) return -1;
  }
  return below_.flock(fd, operation);  // may wait
}

int FaultySystemCalls::statvfs(const char* path, struct statvfs* out) {
  std::lock_guard lock(mutex_);
  if (strikes(Call::statvfs, matches(path))) return -1;
  return below_.statvfs(path, out);
}

int FaultySystemCalls::readlink(const char* path, std::string* out) {
  std::lock_guard lock(mutex_);
  if (strikes(Call::readlink, matches(path))) return -1;
  return below_.readlink(path, out);
}

int FaultySystemCalls::realpath(const char* path, std::string* out) {
  std::lock_guard lock(mutex_);
  if (strikes(Call::realpath, matches(path))) return -1;
  return below_.realpath(path, out);
}

int FaultySystemCalls::list(const char* path, std::size_t limit, std::vector<std::string>* names) {
  std::lock_guard lock(mutex_);
  if (strikes(Call::list, matches(path))) return -1;
  return below_.list(path, limit, names);
}

}  // namespace ollm::io
