#include "ollm/io/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <utility>

#include "ollm/base/check.h"
#include "ollm/io/file.h"
#include "ollm/io/write_all.h"

namespace ollm::io {
OutputFile::OutputFile(std::filesystem::path path, OutputTarget target, SystemCalls& calls)
    : path_(std::move(path)), target_(std::move(target)), calls_(&calls) {}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      target_(std::move(other.target_)),
      temporary_(std::exchange(other.temporary_, {})),
      fd_(std::exchange(other.fd_, -1)),
      in_order_only_(other.in_order_only_),
      written_(other.written_),
      calls_(other.calls_) {}

OutputFile& OutputFile::operator=(OutputFile&& other) noexcept {
  if (this != &other) {
    discard();
    path_ = std::move(other.path_);
    target_ = std::move(other.target_);
    temporary_ = std::exchange(other.temporary_, {});
    fd_ = std::exchange(other.fd_, -1);
    in_order_only_ = other.in_order_only_;
    written_ = other.written_;
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
  OLLM_TRY(OutputTarget target, find_output_target(path, calls));
  OutputFile file(path, std::move(target), calls);
  switch (file.target_.kind) {
    case OutputTarget::Kind::nothing:
      OLLM_TRY_VOID(file.open_temporary(mode));
      break;
    case OutputTarget::Kind::file:
      OLLM_TRY_VOID(file.check_writable());
      OLLM_TRY_VOID(file.open_temporary(file.target_.mode));
      // As it was, whatever the umask takes away; where a file system has no modes, it stays.
      calls.fchmod(file.fd_, file.target_.mode);
      break;
    case OutputTarget::Kind::stream:
    case OutputTarget::Kind::descriptor:
      OLLM_TRY_VOID(file.open_stream());
      break;
  }
  return file;
}

Result<void> OutputFile::open_temporary(mode_t mode) {
  // Unique among the threads of this process by the counter and among processes by their id; one
  // left behind by a dead process of the same id is in the way only once. A short name, as that of
  // the file may be as long as names can be.
  static std::atomic<std::uint64_t> counter{0};
  for (int tries = 0; tries < 100; ++tries) {
    std::filesystem::path temporary =
        target_.path.parent_path() /
        fmt::format(".ollm-{}-{}.tmp", ::getpid(), counter.fetch_add(1));
    fd_ =
        calls_->open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd_ >= 0) {
      temporary_ = std::move(temporary);
      return {};
    }
    if (errno != EEXIST && errno != EINTR) break;
  }
  return system_error(path_, "create", errno);
}

// A file that its owner or a read-only file system protects is not replaced behind their back.
Result<void> OutputFile::check_writable() {
  const int fd =
      calls_->open(target_.path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
  if (fd < 0) return system_error(path_, "open for writing", errno);
  calls_->close(fd);
  return {};
}

// As a shell's redirection does it; opening a FIFO waits for its reader.
Result<void> OutputFile::open_stream() {
  if (target_.kind == OutputTarget::Kind::descriptor) {
    fd_ = calls_->dup(target_.descriptor);
    in_order_only_ = true;  // behind what stands there
  } else {
    fd_ = calls_->open(target_.path.c_str(), O_WRONLY | O_NOCTTY | O_CLOEXEC, 0);
  }
  if (fd_ < 0) return system_error(path_, "open for writing", errno);
  const std::byte nothing{};
  if (calls_->pwrite(fd_, &nothing, 0, 0) < 0 && errno == ESPIPE) in_order_only_ = true;
  return {};
}

Result<void> OutputFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  OLLM_CHECK(fd_ >= 0);
  if (in_order_only_ && offset != written_)
    return fail(ErrorKind::invalid_argument,
                fmt::format("{}: can be written in order only; give a file", path_.native()));
  std::size_t written = 0;
  const int error =
      in_order_only_
          ? write_all(
                bytes, [&](auto left) { return calls_->write(fd_, left.data(), left.size()); },
                &written)
          : write_all_at(*calls_, fd_, offset, bytes, &written);
  if (written > 0) written_ = offset + written;
  if (error != 0)
    return system_error(path_, fmt::format("write at byte {}", offset + written), error);
  return {};
}

Result<void> OutputFile::finish() {
  OLLM_CHECK(fd_ >= 0);
  Result<void> done;
  // Streams know no sync.
  if (calls_->fsync(fd_) != 0 && !(temporary_.empty() && (errno == EINVAL || errno == EROFS)))
    done = system_error(path_, "sync", errno);
  if (calls_->close(std::exchange(fd_, -1)) != 0 && done.ok())
    done = system_error(path_, "close", errno);
  if (temporary_.empty()) return done;
  if (done.ok() && calls_->rename(temporary_.c_str(), target_.path.c_str()) != 0)
    done = system_error(path_, "rename", errno);
  if (!done.ok()) {
    discard();
    return done;
  }
  temporary_.clear();
  return sync_folder();
}

// Without it the name may point at the old file after a loss of power.
Result<void> OutputFile::sync_folder() {
  const std::filesystem::path folder =
      target_.path.has_parent_path() ? target_.path.parent_path() : ".";
  const int fd = calls_->open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  if (fd < 0) return system_error(folder, "open", errno);
  const int synced = calls_->fsync(fd);
  const int error = errno;
  calls_->close(fd);
  if (synced != 0) return system_error(folder, "sync", error);
  return {};
}

}  // namespace ollm::io
