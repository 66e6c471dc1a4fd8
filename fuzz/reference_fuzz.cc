// Any bytes as a model reference and as the text of a file in refs/: parsed or refused, and nothing
// that is found lies outside of the models folder and the cache.
// links: ollm_plan fmt::fmt
#include <sys/stat.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "ollm/base/check.h"
#include "ollm/hub/cache.h"
#include "ollm/io/environment.h"
#include "ollm/io/system_calls.h"
#include "ollm/plan/reference.h"
#include "ollm/plan/resolve.h"

namespace {

// A machine on which every folder exists, so that a name that leads outside would be found; it has
// no files. Paths of references by path may be anywhere; all others have to stay below /models
// and /cache.
class EveryFolder final : public ollm::io::SystemCalls {
 public:
  bool by_path = false;

  int open(const char* path, int, mode_t) override { return absent(path); }
  int dup(int) override { return absent(nullptr); }
  int close(int) override { return 0; }
  ssize_t pread(int, void*, std::size_t, off_t) override { return absent(nullptr); }
  ssize_t pwrite(int, const void*, std::size_t, off_t) override { return absent(nullptr); }
  ssize_t write(int, const void*, std::size_t) override { return absent(nullptr); }
  int fchmod(int, mode_t) override { return absent(nullptr); }
  int fstat(int, struct stat*) override { return absent(nullptr); }
  int stat(const char* path, struct stat* out) override {
    hold(path);
    *out = {};
    out->st_mode = S_IFDIR;
    return 0;
  }
  int lstat(const char* path, struct stat* out) override { return stat(path, out); }
  int fsync(int) override { return absent(nullptr); }
  int fdatasync(int) override { return absent(nullptr); }
  int ftruncate(int, off_t) override { return absent(nullptr); }
  int fallocate(int, int, off_t, off_t) override { return absent(nullptr); }
  int fadvise(int, off_t, off_t, int) override { return 0; }
  int rename(const char*, const char*) override { return absent(nullptr); }
  int unlink(const char*) override { return absent(nullptr); }
  int mkdir(const char*, mode_t) override { return absent(nullptr); }
  int flock(int, int) override { return absent(nullptr); }
  int statvfs(const char*, struct statvfs*) override { return absent(nullptr); }
  int readlink(const char* path, std::string*) override { return absent(path); }
  int realpath(const char* path, std::string* out) override {
    hold(path);
    *out = std::filesystem::path(path).lexically_normal().string();
    return 0;
  }
  int list(const char* path, std::size_t, std::vector<std::string>*) override {
    return absent(path);
  }

 private:
  int absent(const char* path) {
    if (path != nullptr) hold(path);
    errno = ENOENT;
    return -1;
  }
  void hold(const char* text) const {
    if (by_path) return;
    const std::string path = std::filesystem::path(text).lexically_normal().string();
    OLLM_CHECK(path.starts_with("/models/") || path == "/cache" || path.starts_with("/cache/"));
  }
};

// While it is parsed no folder exists: a name is a name.
class NoFolder final : public ollm::io::SystemCalls {
 public:
  int open(const char*, int, mode_t) override { return absent(); }
  int dup(int) override { return absent(); }
  int close(int) override { return 0; }
  ssize_t pread(int, void*, std::size_t, off_t) override { return absent(); }
  ssize_t pwrite(int, const void*, std::size_t, off_t) override { return absent(); }
  ssize_t write(int, const void*, std::size_t) override { return absent(); }
  int fchmod(int, mode_t) override { return absent(); }
  int fstat(int, struct stat*) override { return absent(); }
  int stat(const char*, struct stat*) override { return absent(); }
  int lstat(const char*, struct stat*) override { return absent(); }
  int fsync(int) override { return absent(); }
  int fdatasync(int) override { return absent(); }
  int ftruncate(int, off_t) override { return absent(); }
  int fallocate(int, int, off_t, off_t) override { return absent(); }
  int fadvise(int, off_t, off_t, int) override { return 0; }
  int rename(const char*, const char*) override { return absent(); }
  int unlink(const char*) override { return absent(); }
  int mkdir(const char*, mode_t) override { return absent(); }
  int flock(int, int) override { return absent(); }
  int statvfs(const char*, struct statvfs*) override { return absent(); }
  int readlink(const char*, std::string*) override { return absent(); }
  int realpath(const char*, std::string*) override { return absent(); }
  int list(const char*, std::size_t, std::vector<std::string>*) override { return absent(); }

 private:
  static int absent() {
    errno = ENOENT;
    return -1;
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const ollm::io::Environment environment{{{"HOME", "/home"}}, "/somewhere"};
  NoFolder none;
  const auto reference = ollm::plan::parse_reference(text, environment, none);
  if (!reference.ok()) {
    OLLM_CHECK(reference.error().kind == ollm::ErrorKind::invalid_argument);
    return 0;
  }
  OLLM_CHECK(!reference->identifier.empty());
  OLLM_CHECK(!reference->local_path || reference->local_path->is_absolute());
  EveryFolder every;
  every.by_path = reference->local_path.has_value();
  // A token in an address is not repeated.
  if (reference->scheme == "hf") OLLM_CHECK(reference->raw.size() <= text.size());
  const ollm::plan::Resolution found = ollm::plan::resolve(
      *reference, {.models_dir = "/models", .hub_cache = "/cache", .working_directory = {}}, every);
  OLLM_CHECK(!found.model.normalized_name.empty());
  if (!reference->local_path) {
    ollm::hub::find_snapshot("/cache", reference->identifier, reference->revision, every).ok();
  }
  return 0;
}
