// Which file system a path lies on, from /proc/self/mountinfo.
// Leaves to others: whether it is fit for models (doctor_storage.cc).
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace ollm::machine {

struct Mount {
  std::filesystem::path point;  // "/mnt/models"
  std::string type;             // "ext4"
  std::string source;           // "/dev/nvme0n1p1", "server:/export"
  std::string device;           // "259:1", as in /sys/dev/block
};

/// The mount that an absolute path without links lies on: the one with the longest point, and of
/// several over one another the last. Nothing where the text has none. Lines that are none are
/// passed over.
std::optional<Mount> mount_of(const std::filesystem::path& path, std::string_view mountinfo);

}  // namespace ollm::machine
