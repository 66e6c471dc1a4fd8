#include "ollm/io/file.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <system_error>
#include <thread>
#include <utility>

#include "ollm/base/check.h"
#include "ollm/base/text_size.h"
#include "ollm/io/read_progress.h"

namespace ollm::io {
namespace {

std::int64_t nanoseconds(const struct timespec& time) {
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

FileIdentity identity_of(const struct stat& status) {
  return {.device = static_cast<std::uint64_t>(status.st_dev),
          .inode = static_cast<std::uint64_t>(status.st_ino),
          .size_bytes = static_cast<std::uint64_t>(status.st_size),
          .mtime_ns = nanoseconds(status.st_mtim),
          .ctime_ns = nanoseconds(status.st_ctim)};
}

std::string_view kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
  return "something else";
}

Result<void> check_regular(const std::filesystem::path& path, const struct stat& status) {
  if (S_ISREG(status.st_mode)) return {};
  return fail(ErrorKind::invalid_argument,
              fmt::format("{}: is {}, not a file", path.native(), kind_of(status.st_mode)));
}

// How one identity differs from another, in words; empty where they mean the same bytes. The time
// of change is left out: another link to the file, or other permissions, change it too.
std::string difference(const FileIdentity& before, const FileIdentity& now) {
  if (now.device != before.device || now.inode != before.inode)
    return "another file was put in its place";
  if (now.size_bytes != before.size_bytes)
    return fmt::format("its size was {} bytes and is {} now", before.size_bytes, now.size_bytes);
  if (now.mtime_ns != before.mtime_ns) return "it was written to";
  return {};
}

}  // namespace

Error system_error(const std::filesystem::path& path, std::string_view doing, int error) {
  const bool absent = error == ENOENT || error == ENOTDIR;
  return fail(absent ? ErrorKind::not_found : ErrorKind::io,
              fmt::format("{}: {}: {}", path.native(), doing, describe_errno(error)));
}

std::string describe_errno(int error) { return std::generic_category().message(error); }

File::File(std::filesystem::path path, Access access, int fd, SystemCalls& calls)
    : path_(std::move(path)), access_(access), fd_(fd), calls_(&calls) {}

File::File(File&& other) noexcept
    : path_(std::move(other.path_)),
      access_(other.access_),
      fd_(std::exchange(other.fd_, -1)),
      identity_(other.identity_),
      calls_(other.calls_) {}

File& File::operator=(File&& other) noexcept {
  if (this == &other) return *this;
  if (fd_ >= 0) calls_->close(fd_);
  path_ = std::move(other.path_);
  access_ = other.access_;
  fd_ = std::exchange(other.fd_, -1);
  identity_ = other.identity_;
  calls_ = other.calls_;
  return *this;
}

File::~File() {
  if (fd_ >= 0) calls_->close(fd_);  // nothing was written, so its errors tell nothing
}

Result<File> File::open(const std::filesystem::path& path, Access access, SystemCalls& calls) {
  return open(path, access, Links::follow, calls);
}

Result<File> File::open_growing(const std::filesystem::path& path, Access access,
                                SystemCalls& calls) {
  OLLM_TRY(File file, open(path, access, Links::refuse, calls));
  file.identity_.size_bytes = INT64_MAX;
  return file;
}

Result<File> File::open(const std::filesystem::path& path, Access access, Links links,
                        SystemCalls& calls) {
  if (path.native().find('\0') != std::string::npos)
    return fail(ErrorKind::invalid_argument,
                fmt::format("{}: a path cannot hold a NUL", path.c_str()));
  // Asked for first, as opening some devices does something by itself.
  struct stat status{};
  if (calls.stat(path.c_str(), &status) != 0) return system_error(path, "open", errno);
  OLLM_TRY_VOID(check_regular(path, status));

  // O_NONBLOCK: if a FIFO was put there in the meantime, opening it does not wait for a writer.
  int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  if (links == Links::refuse) flags |= O_NOFOLLOW;
  if (access == Access::direct) flags |= O_DIRECT;
  int fd = -1;
  for (int tries = 0; tries < kMaxIdleCalls; ++tries) {
    fd = calls.open(path.c_str(), flags, 0);
    if (fd >= 0 || errno != EINTR) break;
  }
  if (fd < 0) {
    if (access == Access::direct && errno == EINVAL)
      return fail(ErrorKind::unsupported,
                  fmt::format("{}: its file system has no direct access", path.native()));
    return system_error(path, "open", errno);
  }
  File file(path, access, fd, calls);
  if (calls.fstat(fd, &status) != 0) return system_error(path, "stat", errno);
  OLLM_TRY_VOID(check_regular(path, status));
  file.identity_ = identity_of(status);
  return file;
}

Result<File> File::reopen(Access access) const {
  OLLM_TRY(File again, open(path_, access, *calls_));
  if (const std::string how = difference(identity_, again.identity_); !how.empty())
    return fail(ErrorKind::corrupt,
                fmt::format("{}: file changed while in use: {}", path_.native(), how));
  return again;
}

Result<std::size_t> File::read_up_to(std::uint64_t offset, std::span<std::byte> out) const {
  OLLM_CHECK(fd_ >= 0);
  const std::size_t alignment = alignment_bytes();
  OLLM_CHECK(offset % alignment == 0 && out.size() % alignment == 0 &&
             reinterpret_cast<std::uintptr_t>(out.data()) % alignment == 0);
  constexpr std::uint64_t kLargestOffset = INT64_MAX;
  if (offset > kLargestOffset || out.size() > kLargestOffset - offset)
    return fail(ErrorKind::io, fmt::format("{}: read of {} bytes at byte {}: past any file",
                                           path_.native(), out.size(), offset));
  ReadProgress progress(offset, out.size(), identity_.size_bytes, alignment);
  while (progress.done() < out.size()) {
    const std::size_t done = progress.done();
    switch (progress.take(read_once(offset + done, out.subspan(done)))) {
      case ReadProgress::Next::again:
        break;
      case ReadProgress::Next::later:
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        break;
      case ReadProgress::Next::finished:
        return progress.done();
      case ReadProgress::Next::failed:
        return read_error(offset, out.size(), progress.error());
    }
  }
  return progress.done();
}

std::int64_t File::read_once(std::uint64_t offset, std::span<std::byte> out) const {
  const ssize_t moved = calls_->pread(fd_, out.data(), out.size(), static_cast<off_t>(offset));
  return moved >= 0 ? moved : -errno;
}

void File::drop_cached(std::uint64_t offset, std::uint64_t size) const {
  // A wish: where it is not granted, the page cache keeps what it can be made to give up anyway.
  calls_->fadvise(fd_, static_cast<off_t>(offset), static_cast<off_t>(size), POSIX_FADV_DONTNEED);
}

Error File::read_error(std::uint64_t offset, std::size_t size, int error) const {
  return fail(ErrorKind::io, fmt::format("{}: read of {} bytes at byte {}: {}", path_.native(),
                                         size, offset, describe_errno(error)));
}

Error File::end_error(std::uint64_t offset, std::size_t size, std::size_t done) const {
  return fail(ErrorKind::corrupt,
              fmt::format("{}: the file ends at byte {}: {} of {} bytes at byte {}", path_.native(),
                          offset + done, done, size, offset));
}

Result<void> File::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  OLLM_TRY(const std::size_t done, read_up_to(offset, out));
  if (done == out.size()) return {};
  return end_error(offset, out.size(), done);
}

Result<void> File::check_unchanged() const {
  OLLM_CHECK(fd_ >= 0);
  const auto changed = [this](std::string_view how) {
    return fail(ErrorKind::corrupt,
                fmt::format("{}: file changed while in use: {}", path_.native(), how));
  };
  struct stat status{};
  if (calls_->fstat(fd_, &status) != 0) return system_error(path_, "stat", errno);
  if (const std::string how = difference(identity_, identity_of(status)); !how.empty())
    return changed(how);
  if (calls_->stat(path_.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return changed("it was removed");
    return system_error(path_, "stat", errno);
  }
  if (const std::string how = difference(identity_, identity_of(status)); !how.empty())
    return changed(how);
  return {};
}

Result<std::string> read_whole_file(const std::filesystem::path& path, std::uint64_t limit_bytes,
                                    SystemCalls& calls) {
  OLLM_TRY(const File file, File::open(path, Access::buffered, calls));
  const auto too_large = [&](std::string_view size) {
    return fail(ErrorKind::unsupported, fmt::format("{}: {}, the limit is {}", path.native(), size,
                                                    format_bytes(limit_bytes)));
  };
  if (file.size_bytes() > limit_bytes)
    return too_large(fmt::format("has {}", format_bytes(file.size_bytes())));

  // One byte more than told, so that the end is met by a short read in the common case.
  constexpr std::size_t kUntold = 4096;  // /proc tells 0
  std::string content;
  std::size_t size = std::max<std::size_t>(file.size_bytes() + 1, kUntold);
  for (std::size_t done = 0;;) {
    content.resize(size);
    OLLM_TRY(const std::size_t more,
             file.read_up_to(done, std::as_writable_bytes(std::span(content).subspan(done))));
    done += more;
    if (done > limit_bytes) return too_large("is larger than it says");
    if (done < size) {
      content.resize(done);
      return content;
    }
    size += size / 2;
  }
}

}  // namespace ollm::io
