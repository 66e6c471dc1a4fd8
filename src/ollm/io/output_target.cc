#include "ollm/io/output_target.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <optional>
#include <string>

#include "ollm/io/file.h"

namespace ollm::io {
namespace {

// As many as Linux itself follows.
constexpr int kMostLinks = 40;

// The number of an entry of this process' /proc/self/fd, whose links do not lead to names.
std::optional<int> own_descriptor(const std::filesystem::path& path, SystemCalls& calls) {
  std::string folder;
  if (calls.realpath(path.parent_path().c_str(), &folder) != 0) return std::nullopt;
  if (folder != fmt::format("/proc/{}/fd", ::getpid())) return std::nullopt;
  const std::string name = path.filename().string();
  int number = -1;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return number;
}

}  // namespace

Result<OutputTarget> find_output_target(const std::filesystem::path& path, SystemCalls& calls) {
  if (path.empty()) return fail(ErrorKind::invalid_argument, "an empty path cannot be written to");
  if (path.native().find('\0') != std::string::npos)
    return fail(ErrorKind::invalid_argument,
                fmt::format("{}: a path cannot hold a NUL", path.c_str()));
  OutputTarget target;
  target.path = path;
  for (int links = 0; links <= kMostLinks; ++links) {
    struct stat status{};
    if (calls.lstat(target.path.c_str(), &status) != 0) {
      if (errno == ENOENT) return target;
      return system_error(path, "look at", errno);
    }
    if (!S_ISLNK(status.st_mode)) {
      if (S_ISDIR(status.st_mode))
        return fail(ErrorKind::invalid_argument,
                    fmt::format("{}: is a directory; give the name of a file", path.native()));
      target.kind = S_ISREG(status.st_mode) ? OutputTarget::Kind::file : OutputTarget::Kind::stream;
      target.mode = status.st_mode & 0777;
      return target;
    }
    if (const std::optional<int> own = own_descriptor(target.path, calls)) {
      target.kind = OutputTarget::Kind::descriptor;
      target.descriptor = *own;
      return target;
    }
    std::string next;
    if (calls.readlink(target.path.c_str(), &next) != 0)
      return system_error(path, "read link", errno);
    target.path = target.path.parent_path() / next;
  }
  return system_error(path, "follow links", ELOOP);
}

}  // namespace ollm::io
