#include "ollm/kv/disk_room.h"

#include <algorithm>
#include <cerrno>
#include <limits>

#include "ollm/io/file.h"
#include "ollm/kv/segment_folder.h"

namespace ollm::kv {
namespace {

constexpr std::uint64_t kMostByDefault = std::uint64_t{64} << 30;
constexpr std::uint64_t kStatBlock = 512;

std::uint64_t left_of(std::uint64_t all, std::uint64_t taken) {
  return all > taken ? all - taken : 0;
}

}  // namespace

std::uint64_t DiskRoom::left() const {
  return std::min(left_of(cap_bytes, used_bytes), left_of(free_bytes, kept_free_bytes));
}

Result<DiskRoom> disk_room(const std::filesystem::path& folder, std::uint64_t cap_bytes,
                           double free_share, io::SystemCalls& calls) {
  struct statvfs system{};
  if (calls.statvfs(folder.c_str(), &system) != 0)
    return io::system_error(folder, "look at the file system", errno);
  const std::uint64_t size_bytes = system.f_blocks * system.f_frsize;
  DiskRoom room{
      .cap_bytes = cap_bytes,
      .free_bytes = system.f_bavail * system.f_frsize,
      .kept_free_bytes = static_cast<std::uint64_t>(static_cast<double>(size_bytes) * free_share)};
  if (cap_bytes == 0) room.cap_bytes = std::min(size_bytes / 10, kMostByDefault);
  // There are file systems that tell no size, as they have no end.
  if (size_bytes == 0) {
    room.free_bytes = std::numeric_limits<std::uint64_t>::max();
    if (cap_bytes == 0) room.cap_bytes = kMostByDefault;
  }
  OLLM_TRY(const std::vector<std::uint64_t> numbers, list_segments(folder, calls));
  for (const std::uint64_t number : numbers) {
    struct stat status{};
    if (calls.lstat(segment_path(folder, number).c_str(), &status) == 0)
      room.used_bytes += static_cast<std::uint64_t>(status.st_blocks) * kStatBlock;
  }
  return room;
}

}  // namespace ollm::kv
