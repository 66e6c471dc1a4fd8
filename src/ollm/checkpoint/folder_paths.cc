#include "ollm/checkpoint/folder_paths.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <utility>

#include "ollm/base/json_cursor.h"
#include "ollm/checkpoint/foreign_file.h"
#include "ollm/checkpoint/safetensors.h"
#include "ollm/checkpoint/shard_index.h"
#include "ollm/io/file.h"

namespace ollm::checkpoint {
namespace {

Error system_error(const std::filesystem::path& path, std::string_view doing, int error) {
  const bool absent = error == ENOENT || error == ENOTDIR;
  return fail(
      absent ? ErrorKind::not_found : ErrorKind::io,
      fmt::format("{}: {}: {}", printable(path.native()), doing, io::describe_errno(error)));
}

// The hub keeps files in models--ORG--NAME/blobs and makes snapshots of links to them, in folders
// of a snapshot, too.
std::filesystem::path own_root(const std::filesystem::path& real) {
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
                fmt::format("{}: a path cannot hold a NUL", printable(dir.native())));
  struct stat status{};
  if (calls.stat(dir.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR)
      return fail(ErrorKind::not_found,
                  fmt::format("{}: there is no such folder", printable(dir.native())));
    return system_error(dir, "stat", errno);
  }
  if (!S_ISDIR(status.st_mode)) return no_folder(dir, calls);
  FolderPaths folder;
  folder.dir_ = dir;
  folder.calls_ = &calls;
  std::string real;
  if (calls.realpath(dir.c_str(), &real) != 0) return system_error(dir, "realpath", errno);
  folder.real_ = real;
  folder.root_ = own_root(folder.real_);
  if (calls.list(dir.c_str(), kMaxFolderNames, &folder.names_) != 0) {
    if (errno == EOVERFLOW)
      return fail(ErrorKind::unsupported, fmt::format("{}: holds more than {} files",
                                                      printable(dir.native()), kMaxFolderNames));
    return system_error(dir, "list", errno);
  }
  std::sort(folder.names_.begin(), folder.names_.end());
  return folder;
}

bool FolderPaths::has(std::string_view name) const {
  return std::binary_search(names_.begin(), names_.end(), name);
}

Result<FolderFile> FolderPaths::resolve(std::string_view name) const {
  if (auto plain = check_plain_file_name(name); !plain.ok())
    return std::move(plain).error().within(printable(dir_.native()));
  return resolve_below(name);
}

Result<FolderFile> FolderPaths::resolve_below(std::string_view below) const {
  FolderFile file{.path = dir_ / below, .outside = std::nullopt};
  std::string real;
  if (calls_->realpath(file.path.c_str(), &real) != 0) {
    const int error = errno;
    const auto broken_link = [&](ErrorKind kind, std::string_view how) {
      return fail(kind, fmt::format("{}: is a link {}", printable(file.path.native()), how));
    };
    struct stat status{};
    const bool link = calls_->lstat(file.path.c_str(), &status) == 0 && S_ISLNK(status.st_mode);
    if (link && error == ENOENT)
      return broken_link(ErrorKind::not_found,
                         "to a file that is not there; the download is not whole");
    if (link && error == ELOOP)
      return broken_link(ErrorKind::corrupt, "that leads back to itself; put the file there");
    return system_error(file.path, "open", error);
  }
  if (lies_in(real, root_.native())) return file;
  // A cache is written by programs, with links to its own blobs alone; people link in their
  // folders.
  if (root_ != real_)
    return fail(
        ErrorKind::corrupt,
        fmt::format("{}: is a link to {}, out of {}; put the file itself there, or link the "
                    "folder as a whole",
                    printable(file.path.native()), quote_name(real), quote_name(root_.native())));
  file.outside = std::move(real);
  return file;
}

namespace {

constexpr std::string_view kModelIsAFolder =
    "a model is a folder with config.json and its weights (*.safetensors)";

// A file that stands in a model folder under this name.
bool is_part_of_a_model(std::string_view name) {
  return name.ends_with(".safetensors") || name.ends_with(".json") || name.ends_with(".jinja") ||
         name == "tokenizer.model" || name == "spiece.model" || name == "merges.txt";
}

}  // namespace

Error no_folder(const std::filesystem::path& path, io::SystemCalls& calls) {
  const std::string shown = printable(path.native());
  const std::string name = path.filename().native();
  const auto file = io::File::open(path, io::Access::buffered, calls);
  if (!file.ok()) {
    Error error = file.error();
    if (error.kind == ErrorKind::invalid_argument)
      error.message += fmt::format("; {}", kModelIsAFolder);
    return error;
  }
  std::string first(kForeignFileBytes, '\0');
  const auto got = file->read_up_to(0, std::as_writable_bytes(std::span(first)));
  if (!got.ok()) return got.error();
  first.resize(*got);
  if (is_part_of_a_model(name)) {
    // Under its own name it is asked only whether it is that.
    auto foreign =
        name.ends_with(".safetensors") ? foreign_safetensors(*file) : foreign_text(first);
    if (foreign) return std::move(*foreign).within(shown);
    return fail(ErrorKind::invalid_argument,
                fmt::format("{}: is one file of a model; name its folder, {}", shown,
                            quote_name(path.parent_path().native())));
  }
  if (auto foreign = foreign_file(first, file->size_bytes()))
    return std::move(*foreign).within(shown);
  if (auto foreign = foreign_weights_name(name)) return std::move(*foreign).within(shown);
  return fail(ErrorKind::invalid_argument,
              fmt::format("{}: is a file; {}", shown, kModelIsAFolder));
}

}  // namespace ollm::checkpoint
