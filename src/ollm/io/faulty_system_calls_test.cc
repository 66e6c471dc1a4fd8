#include "ollm/io/faulty_system_calls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <string>

#include "ollm/io/file.h"
#include "ollm/io/temporary_folder.h"

namespace ollm::io {
namespace {

using Call = FaultySystemCalls::Call;

std::string read_with(const File& file, std::size_t size) {
  std::string out(size, '\0');
  const auto result = file.read_at(0, std::as_writable_bytes(std::span(out)));
  return result.ok() ? out : "error: " + result.error().message;
}

TEST(FaultySystemCalls, WithoutAScriptItPassesOnAndCounts) {
  const TemporaryFolder folder;
  FaultySystemCalls calls;
  {
    const auto file = File::open(folder.write("a", "abcd"), Access::buffered, calls);
    ASSERT_TRUE(file.ok());
    EXPECT_EQ(read_with(*file, 4), "abcd");
    EXPECT_EQ(calls.count(Call::pread), 1u);
    EXPECT_EQ(calls.bytes_read(), 4u);
    EXPECT_EQ(calls.open_files(), 1u);
  }
  EXPECT_EQ(calls.count(Call::close), 1u);
  EXPECT_EQ(calls.open_files(), 0u);
}

TEST(FaultySystemCalls, RestrictedItLeavesOtherFilesAlone) {
  const TemporaryFolder folder;
  FaultySystemCalls calls;
  const auto one = File::open(folder.write("one", "1111"), Access::buffered, calls);
  const auto two = File::open(folder.write("two", "2222"), Access::buffered, calls);
  ASSERT_TRUE(one.ok() && two.ok());
  calls.restrict_to("/two");
  calls.fail(Call::pread, 1, EIO, FaultySystemCalls::Repeat::sticky);
  calls.replace();
  EXPECT_EQ(read_with(*one, 4), "1111");
  EXPECT_EQ(read_with(*two, 4), "2222") << "the first read of it";
  EXPECT_EQ(read_with(*one, 4), "1111");
  EXPECT_THAT(read_with(*two, 4), ::testing::HasSubstr("Input/output error"));
  EXPECT_TRUE(one->check_unchanged().ok());
  EXPECT_FALSE(two->check_unchanged().ok());
  EXPECT_EQ(calls.bytes_read(), 4u) << "only its bytes count";
}

TEST(FaultySystemCalls, ChangesAreSeenAfterTheirRead) {
  const TemporaryFolder folder;
  const auto path = folder.write("a", "abcd");
  const std::array changes{&FaultySystemCalls::replace, &FaultySystemCalls::touch};
  const std::array says{"another file was put in its place", "it was written to"};
  for (std::size_t i = 0; i < changes.size(); ++i) {
    FaultySystemCalls calls;
    const auto file = File::open(path, Access::buffered, calls);
    ASSERT_TRUE(file.ok());
    (calls.*changes[i])(2);
    EXPECT_EQ(read_with(*file, 4), "abcd");
    EXPECT_TRUE(file->check_unchanged().ok());
    EXPECT_EQ(read_with(*file, 4), "abcd");
    const auto changed = file->check_unchanged();
    ASSERT_FALSE(changed.ok());
    EXPECT_THAT(changed.error().message, ::testing::HasSubstr(says[i]));
    calls.heal();
    EXPECT_TRUE(file->check_unchanged().ok());
  }
}

TEST(FaultySystemCalls, TornReadsSpoilWhatTheyDoNotCount) {
  const TemporaryFolder folder;
  FaultySystemCalls calls;
  const int fd = calls.open(folder.write("a", "abcdefgh").c_str(), 0, 0);
  ASSERT_GE(fd, 0);
  calls.tear_transfers(1);
  bool torn = false;
  for (int i = 0; i < 20; ++i) {
    std::array<char, 8> out{};
    const ssize_t told = calls.pread(fd, out.data(), out.size(), 0);
    ASSERT_GE(told, 1);
    const auto size = static_cast<std::size_t>(told);
    EXPECT_EQ(std::string(out.data(), size), std::string("abcdefgh").substr(0, size));
    if (size < out.size()) {
      torn = true;
      EXPECT_EQ(out[size], '\xa5');
    }
  }
  EXPECT_TRUE(torn);
  calls.close(fd);
}

}  // namespace
}  // namespace ollm::io
