#include "ollm/settings/cache_folder.h"

namespace ollm::settings {

Result<std::filesystem::path> cache_folder(const RuntimeConfig& config,
                                           const io::Environment& environment) {
  if (config.cache_dir) return io::absolute_path(*config.cache_dir, environment);
  // Of the XDG Base Directory Specification: a path that is not absolute counts as not set.
  const auto caches = environment.find_filled("XDG_CACHE_HOME");
  if (caches && caches->starts_with('/')) return io::absolute_path(*caches, environment) / "ollm";
  if (const auto home = environment.find_filled("HOME"))
    return io::absolute_path(*home, environment) / ".cache" / "ollm";
  return fail(ErrorKind::invalid_argument,
              "there is no folder for keys and values: neither XDG_CACHE_HOME nor HOME is set; "
              "--cache-dir names one, --no-cache keeps none");
}

}  // namespace ollm::settings
