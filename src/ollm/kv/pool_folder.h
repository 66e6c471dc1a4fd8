// For the tests of this folder: a folder, its options, and looks at what stands in it.
#pragma once

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "ollm/io/temporary_folder.h"
#include "ollm/kv/stored_lines.h"

namespace ollm::kv {

// A function, so that it evaluates once and takes a message behind it.
template <typename T>
::testing::AssertionResult succeeded(const Result<T>& result) {
  if (result.ok()) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << result.error().message;
}
#define ASSERT_OK(...) ASSERT_TRUE(succeeded(__VA_ARGS__))

/// Small stripes, and no other limit; direct reads would wait for the disk.
inline PoolOptions options_in(const std::filesystem::path& folder, bool kept = true) {
  PoolOptions options;
  options.folder = folder;
  options.kept = kept;
  options.access = io::Access::buffered;
  options.stripe_part_bytes = 4 * kTestPart;
  options.cap_bytes = std::uint64_t{1} << 30;
  options.free_share = 0;
  return options;
}

/// A pool that finds blocks of `test_fingerprint()`.
inline std::unique_ptr<Pool> open_pool(const PoolOptions& options,
                                       io::SystemCalls& calls = io::posix()) {
  auto pool = Pool::open(options, calls);
  EXPECT_TRUE(succeeded(pool));
  if (!pool.ok()) return nullptr;
  EXPECT_TRUE(succeeded((*pool)->set_fingerprint(test_fingerprint())));
  return std::move(pool).value();
}

inline std::vector<std::filesystem::path> segments(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> out;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".kv") out.push_back(entry.path());
  return out;
}

/// As du counts.
inline std::uint64_t disk_bytes(const std::filesystem::path& folder) {
  std::uint64_t bytes = 0;
  for (const auto& path : segments(folder)) {
    struct stat status{};
    if (::stat(path.c_str(), &status) == 0)
      bytes += static_cast<std::uint64_t>(status.st_blocks) * 512;
  }
  return bytes;
}

/// Changes bytes of a file in place.
inline void overwrite(const std::filesystem::path& path, std::uint64_t offset,
                      std::string_view bytes) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  OLLM_CHECK(fd >= 0 && ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset)) ==
                            static_cast<ssize_t>(bytes.size()));
  ::close(fd);
}

class PoolFolderTest : public ::testing::Test {
 protected:
  std::filesystem::path folder() const { return folder_.path() / "cache" / "kv"; }
  PoolOptions options(bool kept = true) const { return options_in(folder(), kept); }

  const io::TemporaryFolder folder_;
  const Digest fingerprint_ = test_fingerprint();
  const std::vector<TokenId> line_ = test_tokens(1, 83);
};

}  // namespace ollm::kv
