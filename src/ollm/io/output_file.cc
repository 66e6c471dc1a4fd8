#include "ollm/io/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <string_view>
#include <thread>
#include <utility>

#include "ollm/base/check.h"
#include "ollm/io/file.h"
#include "ollm/io/read_progress.h"

namespace ollm::io {
namespace {

Error failed(const std::filesystem::path& path, std::string_view doing, int error) {
  const bool absent = error == ENOENT || error == ENOTDIR;
  return fail(absent ? ErrorKind::not_found : ErrorKind::io,
              fmt::format("{}: {}: {}", path.native(), doing, describe_errno(error)));
}

}  // namespace

OutputFile::OutputFile(std::filesystem::path path, std::filesystem::path temporary, int fd,
                       SystemCalls& calls)
    : path_(std::move(path)), temporary_(std::move(temporary)), fd_(fd), calls_(&calls) {}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, {})),
      fd_(std::exchange(other.fd_, -1)),
      calls_(other.calls_) {}

OutputFile& OutputFile::operator=(OutputFile&& other) noexcept {
  if (this != &other) {
    discard();
    path_ = std::move(other.path_);
    temporary_ = std::exchange(other.temporary_, {});
    fd_ = std::exchange(other.fd_, -1);
    calls_ = other.calls_;
  }
  return *this;
}

OutputFile::~OutputFile() { discard(); }

void OutputFile::discard() {
  if (fd_ >= 0) calls_->close(std::exchange(fd_, -1));
  if (!temporary_.empty()) calls_->unlink(temporary_.c_str());
  temporary_.clear();
}

Result<OutputFile> OutputFile::create(const std::filesystem::path& path, mode_t mode,
                                      SystemCalls& calls) {
  // Unique among the threads of this process by the counter and among processes by their id; one
  // left behind by a dead process of the same id is in the way only once.
  static std::atomic<std::uint64_t> counter{0};
  std::filesystem::path temporary;
  int fd = -1;
  for (int tries = 0; tries < 100; ++tries) {
    temporary = path;
    temporary += fmt::format(".tmp-{}-{}", ::getpid(), counter.fetch_add(1));
    fd = calls.open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd >= 0 || (errno != EEXIST && errno != EINTR)) break;
  }
  if (fd < 0) return failed(path, "create", errno);
  return OutputFile(path, std::move(temporary), fd, calls);
}

Result<void> OutputFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  OLLM_CHECK(fd_ >= 0);
  int idle = 0;
  while (!bytes.empty()) {
    const ssize_t moved =
        calls_->pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (moved > 0) {
      offset += static_cast<std::uint64_t>(moved);
      bytes = bytes.subspan(static_cast<std::size_t>(moved));
      idle = 0;
      continue;
    }
    const int error = moved == 0 ? EIO : errno;
    if ((moved < 0 && error != EINTR && error != EAGAIN) || ++idle > kMaxIdleCalls)
      return failed(path_, fmt::format("write at byte {}", offset), error);
    if (idle > kEagerCalls) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return {};
}

Result<void> OutputFile::finish() {
  OLLM_CHECK(fd_ >= 0);
  Result<void> done;
  if (calls_->fsync(fd_) != 0) done = failed(path_, "sync", errno);
  if (calls_->close(std::exchange(fd_, -1)) != 0 && done.ok()) done = failed(path_, "close", errno);
  if (done.ok() && calls_->rename(temporary_.c_str(), path_.c_str()) != 0)
    done = failed(path_, "rename", errno);
  if (!done.ok()) {
    discard();
    return done;
  }
  temporary_.clear();
  return sync_folder();
}

// Without it the name may point at the old file after a loss of power.
Result<void> OutputFile::sync_folder() {
  const std::filesystem::path folder = path_.has_parent_path() ? path_.parent_path() : ".";
  const int fd = calls_->open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  if (fd < 0) return failed(folder, "open", errno);
  const int synced = calls_->fsync(fd);
  const int error = errno;
  calls_->close(fd);
  if (synced != 0) return failed(folder, "sync", error);
  return {};
}

}  // namespace ollm::io
