#include "ollm/io/read_probes.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <span>

#include "ollm/io/file.h"

namespace ollm::io {
namespace {

constexpr std::size_t kProbeBytes = File::kDirectAlignment;

struct alignas(kProbeBytes) Page {
  std::array<std::byte, kProbeBytes> bytes{};
};

Error no_direct_access(const std::filesystem::path& where) {
  return fail(ErrorKind::unsupported,
              fmt::format("{}: its file system has no direct access", where.string()));
}

// Some file systems take O_DIRECT when a file is opened, and refuse the reads.
Result<void> read_first_bytes(const File& direct) {
  Page page;
  if (direct.read_once(0, page.bytes) == -EINVAL) return no_direct_access(direct.path());
  OLLM_TRY([[maybe_unused]] const std::size_t read, direct.read_up_to(0, page.bytes));
  return {};
}

}  // namespace

Result<void> probe_direct_read(const std::filesystem::path& file, SystemCalls& calls) {
  OLLM_TRY(const File direct, File::open(file, Access::direct, calls));
  return read_first_bytes(direct);
}

Result<void> probe_direct_read(const File& file) {
  OLLM_TRY(const File direct, file.reopen(Access::direct));
  return read_first_bytes(direct);
}

Result<void> probe_direct_in_folder(const std::filesystem::path& folder, SystemCalls& calls) {
  const int fd = calls.open(folder.c_str(), O_TMPFILE | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
  if (fd < 0) {
    const int error = errno;
    if (error == EINVAL) return no_direct_access(folder);
    return fail(ErrorKind::io, fmt::format("{}: {}", folder.string(), describe_errno(error)));
  }
  Page page;
  const auto size = static_cast<ssize_t>(kProbeBytes);
  const bool moved = calls.pwrite(fd, page.bytes.data(), kProbeBytes, 0) == size &&
                     calls.pread(fd, page.bytes.data(), kProbeBytes, 0) == size;
  const int error = errno;
  calls.close(fd);
  if (moved) return {};
  if (error == EINVAL) return no_direct_access(folder);
  return fail(ErrorKind::io, fmt::format("{}: {}", folder.string(), describe_errno(error)));
}

}  // namespace ollm::io
