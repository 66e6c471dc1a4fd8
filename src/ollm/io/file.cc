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

namespace ollm::io {
namespace {

// A call that keeps being interrupted without moving a byte ends here: every loop has a limit.
// With the pauses below that is about a second.
constexpr int kMaxIdleCalls = 1000;
// From here on a pause stands between two tries.
constexpr int kEagerCalls = 32;

FileIdentity identity_of(const struct stat& status) {
  return {.device = static_cast<std::uint64_t>(status.st_dev),
          .inode = static_cast<std::uint64_t>(status.st_ino),
          .size_bytes = static_cast<std::uint64_t>(status.st_size),
          .mtime_ns = static_cast<std::int64_t>(status.st_mtim.tv_sec) * 1'000'000'000 +
                      status.st_mtim.tv_nsec};
}

std::string_view kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
  return "something else";
}

Error system_error(const std::filesystem::path& path, std::string_view doing, int error) {
  const bool absent = error == ENOENT || error == ENOTDIR;
  return fail(absent ? ErrorKind::not_found : ErrorKind::io,
              fmt::format("{}: {}: {}", path.native(), doing, describe_errno(error)));
}

Result<void> check_regular(const std::filesystem::path& path, const struct stat& status) {
  if (S_ISREG(status.st_mode)) return {};
  return fail(ErrorKind::invalid_argument,
              fmt::format("{}: is {}, not a file", path.native(), kind_of(status.st_mode)));
}

// How one identity differs from another, in words; empty where they are equal.
std::string difference(const FileIdentity& before, const FileIdentity& now) {
  if (now.device != before.device || now.inode != before.inode)
    return "another file was put in its place";
  if (now.size_bytes != before.size_bytes)
    return fmt::format("its size was {} bytes and is {} now", before.size_bytes, now.size_bytes);
  if (now.mtime_ns != before.mtime_ns) return "it was written to";
  return {};
}

}  // namespace

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
  if (path.native().find('\0') != std::string::npos)
    return fail(ErrorKind::invalid_argument,
                fmt::format("{}: a path cannot hold a NUL", path.c_str()));
  // Asked for first, as opening some devices does something by itself.
  struct stat status{};
  if (calls.stat(path.c_str(), &status) != 0) return system_error(path, "open", errno);
  OLLM_TRY_VOID(check_regular(path, status));

  // O_NONBLOCK: if a FIFO was put there in the meantime, opening it does not wait for a writer.
  int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
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
  std::size_t done = 0;
  int idle = 0;
  while (done < out.size()) {
    const ssize_t moved =
        calls_->pread(fd_, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (moved > 0) {
      const std::size_t reached = done + static_cast<std::size_t>(moved);
      // A direct read that ends between two sectors has met the end of the file, or was torn: then
      // it goes on from the last whole one, until that moves nothing any more.
      const std::size_t over = reached < out.size() ? reached % alignment : 0;
      const bool stuck = reached - over == done;
      idle = stuck ? idle + 1 : 0;
      if (over != 0 && (offset + reached >= identity_.size_bytes || idle > kMaxIdleCalls)) {
        done = reached;
        break;
      }
      done = reached - over;
      continue;
    }
    if (moved == 0) break;
    const int error = errno;
    if ((error != EINTR && error != EAGAIN) || ++idle > kMaxIdleCalls)
      return fail(ErrorKind::io, fmt::format("{}: read of {} bytes at byte {}: {}", path_.native(),
                                             out.size(), offset, describe_errno(error)));
    if (idle > kEagerCalls) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return done;
}

Result<void> File::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  OLLM_TRY(const std::size_t done, read_up_to(offset, out));
  if (done == out.size()) return {};
  return fail(ErrorKind::corrupt,
              fmt::format("{}: the file ends at byte {}: {} of {} bytes at byte {}", path_.native(),
                          offset + done, done, out.size(), offset));
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
