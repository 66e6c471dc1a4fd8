#include "ollm/io/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "ollm/io/file.h"

namespace ollm::io {
namespace {

Error failed(const std::filesystem::path& path, std::string_view what) {
  const int error = errno;
  return fail(error == ENOENT ? ErrorKind::not_found : ErrorKind::io,
              fmt::format("{}: {}: {}", path.string(), what, describe_errno(error)));
}

}  // namespace

OutputFile::OutputFile(std::filesystem::path path, std::filesystem::path temporary, int fd,
                       SystemCalls& calls)
    : path_(std::move(path)), temporary_(std::move(temporary)), fd_(fd), calls_(&calls) {}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::move(other.temporary_)),
      fd_(std::exchange(other.fd_, -1)),
      calls_(other.calls_) {}

OutputFile& OutputFile::operator=(OutputFile&& other) noexcept {
  if (this != &other) {
    discard();
    path_ = std::move(other.path_);
    temporary_ = std::move(other.temporary_);
    fd_ = std::exchange(other.fd_, -1);
    calls_ = other.calls_;
  }
  return *this;
}

OutputFile::~OutputFile() { discard(); }

void OutputFile::discard() {
  if (fd_ < 0) return;
  calls_->close(fd_);
  calls_->unlink(temporary_.c_str());
  fd_ = -1;
}

Result<OutputFile> OutputFile::create(const std::filesystem::path& path, SystemCalls& calls) {
  // The process is in the name, so that two of them writing one path do not mix.
  std::filesystem::path temporary = path;
  temporary += fmt::format(".{}.tmp", ::getpid());
  const int fd =
      calls.open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return failed(temporary, "cannot be written");
  return OutputFile(path, std::move(temporary), fd, calls);
}

Result<void> OutputFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written =
        calls_->pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (written <= 0) return failed(path_, fmt::format("write at byte {}", offset));
    offset += static_cast<std::uint64_t>(written);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

Result<void> OutputFile::finish() {
  if (calls_->fsync(fd_) != 0) {
    Error error = failed(path_, "fsync");
    discard();
    return error;
  }
  if (calls_->rename(temporary_.c_str(), path_.c_str()) != 0) {
    Error error = failed(path_, "rename");
    discard();
    return error;
  }
  calls_->close(std::exchange(fd_, -1));
  return {};
}

}  // namespace ollm::io
