#include "ollm/io/write_all.h"

#include <cerrno>
#include <chrono>
#include <thread>

#include "ollm/io/read_progress.h"

namespace ollm::io {

int write_all(std::span<const std::byte> bytes,
              FunctionRef<ssize_t(std::span<const std::byte> left)> move, std::size_t* written) {
  *written = 0;
  int idle = 0;
  while (*written < bytes.size()) {
    const ssize_t moved = move(bytes.subspan(*written));
    if (moved > 0) {
      *written += static_cast<std::size_t>(moved);
      idle = 0;
      continue;
    }
    const int error = moved == 0 ? EIO : errno;
    if ((moved < 0 && error != EINTR && error != EAGAIN) || ++idle > kMaxIdleCalls) return error;
    if (idle > kEagerCalls) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return 0;
}

int write_all_at(SystemCalls& calls, int fd, std::uint64_t offset, std::span<const std::byte> bytes,
                 std::size_t* written) {
  const auto move = [&](std::span<const std::byte> left) {
    const std::uint64_t at = offset + (bytes.size() - left.size());
    return calls.pwrite(fd, left.data(), left.size(), static_cast<off_t>(at));
  };
  return write_all(bytes, move, written);
}

}  // namespace ollm::io
