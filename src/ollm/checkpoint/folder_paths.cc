#include "ollm/checkpoint/folder_paths.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "ollm/checkpoint/json_cursor.h"
#include "ollm/checkpoint/shard_index.h"
#include "ollm/io/file.h"

namespace ollm::checkpoint {
namespace {

Error system_error(const std::filesystem::path& path, std::string_view doing, int error) {
  const bool absent = error == ENOENT || error == ENOTDIR;
  return fail(absent ? ErrorKind::not_found : ErrorKind::io,
              fmt::format("{}: {}: {}", path.native(), doing, io::describe_errno(error)));
}

// The hub keeps files in models--ORG--NAME/blobs and makes snapshots of links to them, in folders
// of a snapshot, too.
std::filesystem::path allowed_root(const std::filesystem::path& real) {
  std::filesystem::path snapshots = real.parent_path();
  if (snapshots.filename() != "snapshots") snapshots = snapshots.parent_path();
  const std::filesystem::path model = snapshots.parent_path();
  const bool in_cache =
      snapshots.filename() == "snapshots" && model.filename().native().starts_with("models--");
  return in_cache ? model : real;
}

bool lies_in(const std::string& path, const std::string& root) {
  if (root == "/") return true;
  return path.size() > root.size() && path.starts_with(root) && path[root.size()] == '/';
}

}  // namespace

Result<FolderPaths> FolderPaths::open(const std::filesystem::path& dir, io::SystemCalls& calls) {
  if (dir.native().find('\0') != std::string::npos)
    return fail(ErrorKind::invalid_argument,
                fmt::format("{}: a path cannot hold a NUL", dir.c_str()));
  struct stat status{};
  if (calls.stat(dir.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR)
      return fail(ErrorKind::not_found, fmt::format("{}: there is no such folder", dir.native()));
    return system_error(dir, "stat", errno);
  }
  if (!S_ISDIR(status.st_mode))
    return fail(ErrorKind::invalid_argument,
                fmt::format("{}: is a file; a model is a folder with config.json and its weights",
                            dir.native()));
  FolderPaths folder;
  folder.dir_ = dir;
  folder.calls_ = &calls;
  std::string real;
  if (calls.realpath(dir.c_str(), &real) != 0) return system_error(dir, "realpath", errno);
  folder.real_ = real;
  folder.root_ = allowed_root(folder.real_);
  if (calls.list(dir.c_str(), kMaxFolderNames, &folder.names_) != 0) {
    if (errno == EOVERFLOW)
      return fail(ErrorKind::unsupported,
                  fmt::format("{}: holds more than {} files", dir.native(), kMaxFolderNames));
    return system_error(dir, "list", errno);
  }
  std::sort(folder.names_.begin(), folder.names_.end());
  return folder;
}

bool FolderPaths::has(std::string_view name) const {
  return std::binary_search(names_.begin(), names_.end(), name);
}

Result<std::filesystem::path> FolderPaths::resolve(std::string_view name) const {
  if (auto plain = check_plain_file_name(name); !plain.ok())
    return std::move(plain).error().within(dir_.native());
  std::filesystem::path path = dir_ / name;
  std::string real;
  if (calls_->realpath(path.c_str(), &real) != 0) {
    const int error = errno;
    if (error == ENOENT && has(name))
      return fail(
          ErrorKind::not_found,
          fmt::format("{}: is a link to a file that is not there; the download is not whole",
                      path.native()));
    return system_error(path, "open", error);
  }
  if (!lies_in(real, root_.native()))
    return fail(
        ErrorKind::corrupt,
        fmt::format("{}: is a link to {}, out of {}; put the file itself there, or link the "
                    "folder as a whole",
                    path.native(), quote_name(real), root_.native()));
  return path;
}

}  // namespace ollm::checkpoint
