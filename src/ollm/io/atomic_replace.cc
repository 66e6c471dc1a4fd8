#include "ollm/io/atomic_replace.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <thread>

#include "ollm/io/file.h"

namespace ollm::io {
namespace {

constexpr int kMaxIdleCalls = 1000;  // as in file.cc

Error write_error(const std::filesystem::path& path, std::string_view doing, int error) {
  const bool absent = error == ENOENT || error == ENOTDIR;
  return fail(absent ? ErrorKind::not_found : ErrorKind::io,
              fmt::format("{}: {}: {}", path.native(), doing, describe_errno(error)));
}

Result<void> write_all(SystemCalls& calls, int fd, const std::filesystem::path& path,
                       std::string_view content) {
  std::size_t done = 0;
  int idle = 0;
  while (done < content.size()) {
    const ssize_t moved =
        calls.pwrite(fd, content.data() + done, content.size() - done, static_cast<off_t>(done));
    if (moved > 0) {
      done += static_cast<std::size_t>(moved);
      idle = 0;
      continue;
    }
    const int error = moved == 0 ? EIO : errno;
    if ((moved < 0 && error != EINTR && error != EAGAIN) || ++idle > kMaxIdleCalls)
      return write_error(path, "write", error);
    if (idle > 32) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return {};
}

Result<void> sync_directory(SystemCalls& calls, const std::filesystem::path& dir) {
  const int fd = calls.open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  if (fd < 0) return write_error(dir, "open", errno);
  const int synced = calls.fsync(fd);
  const int error = errno;
  calls.close(fd);
  if (synced != 0) return write_error(dir, "sync", error);
  return {};
}

}  // namespace

Result<void> atomic_replace(const std::filesystem::path& path, std::string_view content,
                            mode_t mode, SystemCalls& calls) {
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
  if (fd < 0) return write_error(temporary, "create", errno);

  Result<void> written = write_all(calls, fd, temporary, content);
  if (written.ok() && calls.fsync(fd) != 0) written = write_error(temporary, "sync", errno);
  if (calls.close(fd) != 0 && written.ok()) written = write_error(temporary, "close", errno);
  if (written.ok() && calls.rename(temporary.c_str(), path.c_str()) != 0)
    written = write_error(path, "rename", errno);
  if (!written.ok()) {
    calls.unlink(temporary.c_str());
    return written;
  }
  const std::filesystem::path dir = path.has_parent_path() ? path.parent_path() : ".";
  return sync_directory(calls, dir);
}

}  // namespace ollm::io
