#include "ollm/io/environment.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <vector>

#include "ollm/io/system_calls.h"

extern "C" char** environ;

namespace ollm::io {

Environment Environment::of_process() {
  Environment out;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view line = *entry;
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) continue;
    // The first of two entries of one name counts, as in getenv.
    out.variables.emplace(line.substr(0, equals), line.substr(equals + 1));
  }
  std::error_code error;
  out.working_directory = std::filesystem::current_path(error);
  if (error) out.working_directory = "/";  // the folder was removed under us
  return out;
}

std::optional<std::string_view> Environment::find(std::string_view name) const {
  const auto found = variables.find(name);
  if (found == variables.end()) return std::nullopt;
  return found->second;
}

std::optional<std::string_view> Environment::find_filled(std::string_view name) const {
  const auto value = find(name);
  return value && !value->empty() ? value : std::nullopt;
}

std::filesystem::path absolute_path(std::string_view text, const Environment& environment) {
  std::filesystem::path path(text);
  const auto home = environment.find_filled("HOME");
  if (home && (text == "~" || text.starts_with("~/"))) {
    path = std::filesystem::path(*home);
    if (text.size() > 2) path /= text.substr(2);
  }
  path = (environment.working_directory / path).lexically_normal();
  // "a/" is normal to the library and another text than "a".
  if (!path.has_filename() && path.has_relative_path()) path = path.parent_path();
  return path;
}

std::filesystem::path resolve_links(const std::filesystem::path& path, SystemCalls& calls) {
  std::vector<std::filesystem::path> missing;  // last first
  std::filesystem::path existing = path;
  while (true) {
    std::string real;
    if (calls.realpath(existing.c_str(), &real) == 0) {
      std::filesystem::path out = real;
      for (auto part = missing.rbegin(); part != missing.rend(); ++part) out /= *part;
      return out.lexically_normal();
    }
    if (!existing.has_relative_path()) return path.lexically_normal();
    if (existing.has_filename()) missing.push_back(existing.filename());
    existing = existing.parent_path();
  }
}

bool is_directory(const std::filesystem::path& path, SystemCalls& calls) {
  struct stat status = {};
  return calls.stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

}  // namespace ollm::io
