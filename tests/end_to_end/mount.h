// A file system that a test mounts for itself.
#pragma once

#include <sys/mount.h>

#include <filesystem>
#include <string>

namespace ollm::testing {

/// Goes with this; not mounted where the test is not root's.
class Mount {
 public:
  Mount(const std::filesystem::path& at, const std::string& type, const std::string& source,
        const std::string& options)
      : at_(at) {
    std::filesystem::create_directories(at);
    mounted_ = ::mount(source.c_str(), at.c_str(), type.c_str(), 0, options.c_str()) == 0;
  }
  ~Mount() {
    if (mounted_) ::umount2(at_.c_str(), MNT_DETACH);
  }
  Mount(const Mount&) = delete;
  Mount& operator=(const Mount&) = delete;

  bool mounted() const { return mounted_; }
  bool make_read_only() const {
    return ::mount(nullptr, at_.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) == 0;
  }

 private:
  const std::filesystem::path at_;
  bool mounted_ = false;
};

}  // namespace ollm::testing
