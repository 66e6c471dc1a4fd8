#include "ollm/io/private_folder.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

#include "ollm/io/file.h"

namespace ollm::io {
namespace {

constexpr mode_t kPrivate = 0700;
constexpr mode_t kOthersMayWrite = S_IWGRP | S_IWOTH;

// Those above first; one that another process makes at the same time is as good.
Result<void> make_folders(const std::filesystem::path& folder, SystemCalls& calls) {
  struct stat status{};
  if (calls.stat(folder.c_str(), &status) == 0) return {};
  if (errno != ENOENT) return system_error(folder, "look at", errno);
  const std::filesystem::path above = folder.parent_path();
  if (!above.empty() && above != folder) OLLM_TRY_VOID(make_folders(above, calls));
  if (calls.mkdir(folder.c_str(), kPrivate) != 0 && errno != EEXIST)
    return system_error(folder, "make folder", errno);
  return {};
}

Error refused(const std::filesystem::path& folder, std::string_view why) {
  return fail(ErrorKind::invalid_argument, fmt::format("{}: {}", folder.native(), why));
}

// Whoever may write to the folder around it could put another in its place. In one like /tmp only
// the owner may.
Result<void> check_nobody_may_replace(const std::filesystem::path& folder, SystemCalls& calls) {
  const std::filesystem::path around = folder.parent_path();
  struct stat status{};
  if (around.empty() || calls.stat(around.c_str(), &status) != 0) return {};
  if ((status.st_mode & S_IWOTH) == 0 || (status.st_mode & S_ISVTX) != 0) return {};
  return refused(around, fmt::format("others may write to it, and so replace {}; chmod o-w it",
                                     folder.filename().native()));
}

}  // namespace

Result<void> open_private_folder(const std::filesystem::path& folder, SystemCalls& calls) {
  OLLM_TRY_VOID(check_nobody_may_replace(folder, calls));
  struct stat status{};
  if (calls.lstat(folder.c_str(), &status) != 0) {
    if (errno != ENOENT) return system_error(folder, "look at", errno);
    OLLM_TRY_VOID(make_folders(folder, calls));
    if (calls.lstat(folder.c_str(), &status) != 0) return system_error(folder, "look at", errno);
  }
  if (S_ISLNK(status.st_mode))
    return refused(folder, "is a link; give the folder that it leads to");
  if (!S_ISDIR(status.st_mode)) return refused(folder, "is no folder");
  if (status.st_uid != ::geteuid()) return refused(folder, "belongs to another user");
  if ((status.st_mode & kOthersMayWrite) != 0)
    return refused(folder, fmt::format("others may write to it (mode {:o}); chmod go-w it",
                                       status.st_mode & 07777U));
  return {};
}

}  // namespace ollm::io
