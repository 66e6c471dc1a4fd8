// How much a folder of segment files may still grow: under its cap, and with some of the file
// system left free. Leaves to others: making room (eviction.h).
#pragma once

#include <cstdint>
#include <filesystem>

#include "ollm/base/result.h"
#include "ollm/io/system_calls.h"

namespace ollm::kv {

struct DiskRoom {
  std::uint64_t cap_bytes = 0;   // what all segment files may take
  std::uint64_t used_bytes = 0;  // what they take: space on disk, of every version
  std::uint64_t free_bytes = 0;  // of the file system, for this user
  std::uint64_t kept_free_bytes = 0;

  /// Bytes that may still be written.
  std::uint64_t left() const;
};

/// `cap_bytes` 0: a tenth of the file system's size, at most 64 GiB. Errors: io, not_found.
Result<DiskRoom> disk_room(const std::filesystem::path& folder, std::uint64_t cap_bytes,
                           double free_share, io::SystemCalls& calls);

}  // namespace ollm::kv
