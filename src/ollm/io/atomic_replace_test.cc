#include "ollm/io/atomic_replace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <string>

#include "ollm/io/faulty_system_calls.h"
#include "ollm/io/file.h"
#include "ollm/io/temporary_folder.h"

namespace ollm::io {
namespace {

using ::testing::HasSubstr;
using Call = FaultySystemCalls::Call;

std::size_t files_in(const std::filesystem::path& folder) {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder)) ++count;
  return count;
}

TEST(AtomicReplace, MakesAndReplaces) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "state.json";
  ASSERT_TRUE(atomic_replace(path, "one").ok());
  EXPECT_EQ(*read_whole_file(path, 100), "one");
  ASSERT_TRUE(atomic_replace(path, "").ok());
  EXPECT_EQ(*read_whole_file(path, 100), "");
  EXPECT_EQ(files_in(folder.path()), 1u);
  struct stat status{};
  ASSERT_TRUE(atomic_replace(folder.path() / "private", "", 0600).ok());
  ASSERT_EQ(::stat((folder.path() / "private").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST(AtomicReplace, TornAndInterruptedWritesAreCompleted) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "state.json";
  std::string content(5000, '\0');
  for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 31);
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    FaultySystemCalls calls;
    calls.tear_transfers(seed);
    calls.interrupt_transfers(seed, 4);
    const auto result = atomic_replace(path, content, 0600, calls);
    ASSERT_TRUE(result.ok()) << result.error().message;
    ASSERT_EQ(*read_whole_file(path, 1 << 20), content);
  }
}

// Every call fails once, in turn, until the operation meets none: before the rename the old content
// stands, after it the new one; never a mixture and never a file left behind.
TEST(AtomicReplace, EveryFailureLeavesTheOldOrTheNewFile) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "state.json";
  const Call kCalls[] = {Call::open, Call::pwrite, Call::fsync, Call::close, Call::rename};
  for (const Call call : kCalls) {
    int failures = 0;
    for (std::uint64_t k = 0;; ++k) {
      ASSERT_LT(k, 20u);
      ASSERT_TRUE(atomic_replace(path, "old").ok());
      FaultySystemCalls calls;
      calls.tear_transfers(k);
      calls.fail(call, k, call == Call::pwrite ? ENOSPC : EIO);
      const auto result = atomic_replace(path, "the new content", 0600, calls);
      const std::string found = *read_whole_file(path, 100);
      EXPECT_EQ(files_in(folder.path()), 1u);
      EXPECT_EQ(calls.open_files(), 0u);
      if (result.ok()) {
        EXPECT_EQ(found, "the new content");
        if (calls.count(call) <= k) break;  // the fault lay behind the last call
        continue;                           // closing the directory may fail unnoticed
      }
      ++failures;
      EXPECT_EQ(result.error().kind, ErrorKind::io);
      if (calls.count(Call::rename) == 0 || call == Call::rename) {
        EXPECT_EQ(found, "old");
      } else {
        EXPECT_EQ(found, "the new content");
      }
    }
    EXPECT_GE(failures, 1) << static_cast<int>(call);
  }
}

TEST(AtomicReplace, AFailedSyncIsNotTriedAgain) {
  const TemporaryFolder folder;
  FaultySystemCalls calls;
  calls.fail(Call::fsync, 0, EIO);
  const auto result = atomic_replace(folder.path() / "state.json", "content", 0600, calls);
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.error().message, HasSubstr("sync"));
  EXPECT_EQ(calls.count(Call::fsync), 1u);
  EXPECT_EQ(files_in(folder.path()), 0u);
}

TEST(AtomicReplace, AMissingDirectoryIsNotFound) {
  const TemporaryFolder folder;
  const auto result = atomic_replace(folder.path() / "absent" / "state.json", "content");
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().kind, ErrorKind::not_found);
}

}  // namespace
}  // namespace ollm::io
