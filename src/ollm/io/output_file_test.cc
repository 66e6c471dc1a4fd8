#include "ollm/io/output_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <utility>

#include "ollm/io/faulty_system_calls.h"
#include "ollm/io/file.h"
#include "ollm/io/temporary_folder.h"

namespace ollm::io {
namespace {

std::span<const std::byte> bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

class OutputFileTest : public ::testing::Test {
 protected:
  std::size_t files() const {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path()))
      count += entry.exists();
    return count;
  }

  const TemporaryFolder folder_;
};

TEST_F(OutputFileTest, AppearsWholeAfterFinish) {
  auto file = OutputFile::create(folder_.path() / "out");
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(file->write_at(5, bytes("world")).ok());
  ASSERT_TRUE(file->write_at(0, bytes("hello")).ok());
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "out"));
  ASSERT_TRUE(file->finish().ok());
  EXPECT_EQ(*read_whole_file(folder_.path() / "out", 100), "helloworld");
  EXPECT_EQ(files(), 1u);
}

TEST_F(OutputFileTest, LeavesNothingWhenItIsNotFinished) {
  {
    auto file = OutputFile::create(folder_.path() / "out");
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(file->write_at(0, bytes("hello")).ok());
  }
  EXPECT_EQ(files(), 0u);
}

TEST_F(OutputFileTest, GoesOnWhereItWasMovedTo) {
  auto file = OutputFile::create(folder_.path() / "out");
  ASSERT_TRUE(file.ok());
  auto other = OutputFile::create(folder_.path() / "other");
  ASSERT_TRUE(other.ok());
  EXPECT_EQ(files(), 2u);
  *other = std::move(*file);  // what "other" had is gone
  EXPECT_EQ(files(), 1u);
  ASSERT_TRUE(other->write_at(0, bytes("hello")).ok());
  ASSERT_TRUE(other->finish().ok());
  EXPECT_EQ(*read_whole_file(folder_.path() / "out", 100), "hello");
  EXPECT_EQ(files(), 1u);
}

TEST_F(OutputFileTest, EndlessInterruptionsEndInAnError) {
  FaultySystemCalls calls;
  auto file = OutputFile::create(folder_.path() / "out", 0600, calls);
  ASSERT_TRUE(file.ok());
  calls.fail(FaultySystemCalls::Call::pwrite, 0, EAGAIN, FaultySystemCalls::Repeat::sticky);
  const auto written = file->write_at(7, bytes("hello"));
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().kind, ErrorKind::io);
  EXPECT_THAT(written.error().message, ::testing::HasSubstr("out: write at byte 7"));
}

TEST_F(OutputFileTest, MissingFolderIsNotFound) {
  const auto file = OutputFile::create(folder_.path() / "none" / "out");
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().kind, ErrorKind::not_found);
  EXPECT_THAT(file.error().message, ::testing::HasSubstr("none/out: create"));
}

}  // namespace
}  // namespace ollm::io
