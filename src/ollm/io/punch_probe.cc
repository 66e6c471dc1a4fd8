#include "ollm/io/punch_probe.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstddef>

#include "ollm/io/file.h"

namespace ollm::io {

Result<void> probe_punch_in_folder(const std::filesystem::path& folder, SystemCalls& calls) {
  const int fd = calls.open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  int error = errno;
  if (fd >= 0) {
    constexpr std::size_t kPart = File::kDirectAlignment;
    const std::array<std::byte, 2 * kPart> parts{};
    constexpr auto kSize = static_cast<ssize_t>(parts.size());
    const bool punched =
        calls.pwrite(fd, parts.data(), parts.size(), 0) == kSize &&
        calls.fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, kPart) == 0;
    error = errno;
    calls.close(fd);
    if (punched) return {};
  }
  if (error == EOPNOTSUPP || error == ENOSYS || error == EISDIR) {
    return fail(ErrorKind::unsupported,
                fmt::format("{}: its file system gives back no parts of files", folder.string()));
  }
  return fail(ErrorKind::io, fmt::format("{}: {}", folder.string(), describe_errno(error)));
}

}  // namespace ollm::io
