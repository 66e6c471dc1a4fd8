#include "ollm/io/output_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "ollm/io/file.h"

namespace ollm::io {
namespace {

std::span<const std::byte> bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

class OutputFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              ("ollm_output_" + std::to_string(::getpid()) + "_" +
               ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::size_t files() const {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) count += entry.exists();
    return count;
  }

  std::filesystem::path folder_;
};

TEST_F(OutputFileTest, AppearsWholeAfterFinish) {
  auto file = OutputFile::create(folder_ / "out");
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(file->write_at(5, bytes("world")).ok());
  ASSERT_TRUE(file->write_at(0, bytes("hello")).ok());
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out"));
  ASSERT_TRUE(file->finish().ok());
  EXPECT_EQ(*read_whole_file(folder_ / "out", 100), "helloworld");
  EXPECT_EQ(files(), 1u);
}

TEST_F(OutputFileTest, LeavesNothingWhenItIsNotFinished) {
  {
    auto file = OutputFile::create(folder_ / "out");
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(file->write_at(0, bytes("hello")).ok());
  }
  EXPECT_EQ(files(), 0u);
}

TEST_F(OutputFileTest, MissingFolderIsNotFound) {
  const auto file = OutputFile::create(folder_ / "none" / "out");
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().kind, ErrorKind::not_found);
}

}  // namespace
}  // namespace ollm::io
