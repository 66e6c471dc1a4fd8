#include "ollm/io/private_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "ollm/io/faulty_system_calls.h"
#include "ollm/io/temporary_folder.h"

namespace ollm::io {
namespace {

using ::testing::HasSubstr;

mode_t mode_of(const std::filesystem::path& path) {
  struct stat status{};
  EXPECT_EQ(::stat(path.c_str(), &status), 0);
  return status.st_mode & 07777U;
}

TEST(PrivateFolder, IsMadeWithThoseAboveItForItsOwnerAlone) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "a" / "b";
  ASSERT_TRUE(open_private_folder(path).ok());
  EXPECT_EQ(mode_of(path), 0700u);
  EXPECT_EQ(mode_of(path.parent_path()), 0700u);
  EXPECT_TRUE(open_private_folder(path).ok()) << "one that is there";
  ::chmod(path.c_str(), 0755);
  EXPECT_TRUE(open_private_folder(path).ok()) << "others may look";
}

TEST(PrivateFolder, OneThatOthersMayWriteToIsRefused) {
  const TemporaryFolder folder;
  for (const mode_t mode : {0770u, 0707u, 01777u}) {
    ::chmod(folder.path().c_str(), mode);
    const auto opened = open_private_folder(folder.path());
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.error().kind, ErrorKind::invalid_argument);
    EXPECT_THAT(opened.error().message, HasSubstr("others may write to it"));
  }
}

TEST(PrivateFolder, OneThatOthersMayReplaceIsRefusedBeforeItIsMade) {
  const TemporaryFolder around;
  const auto path = around.path() / "a";
  ::chmod(around.path().c_str(), 0777);
  const auto opened = open_private_folder(path);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().kind, ErrorKind::invalid_argument);
  EXPECT_THAT(opened.error().message, HasSubstr("others may write to it, and so replace a"));
  EXPECT_FALSE(std::filesystem::exists(path));
  ::chmod(around.path().c_str(), 01777);
  EXPECT_TRUE(open_private_folder(path).ok());
}

TEST(PrivateFolder, LinksFilesAndFoldersOfOthersAreRefused) {
  const TemporaryFolder folder;
  const auto link = folder.path() / "link";
  std::filesystem::create_directory(folder.path() / "real");
  std::filesystem::create_symlink(folder.path() / "real", link);
  EXPECT_THAT(open_private_folder(link).error().message, HasSubstr("is a link"));
  EXPECT_THAT(open_private_folder(folder.write("file", "")).error().message,
              HasSubstr("is no folder"));
  if (::geteuid() != 0) GTEST_SKIP() << "skipped: only root can give a folder to another user";
  ASSERT_EQ(::chown((folder.path() / "real").c_str(), 12345, 12345), 0);
  EXPECT_THAT(open_private_folder(folder.path() / "real").error().message,
              HasSubstr("belongs to another user"));
}

TEST(PrivateFolder, WhatTheSystemSaysIsPassedOn) {
  const TemporaryFolder folder;
  FaultySystemCalls calls;
  calls.fail(FaultySystemCalls::Call::mkdir, 0, EROFS);
  const auto opened = open_private_folder(folder.path() / "a", calls);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().kind, ErrorKind::io);
  EXPECT_THAT(opened.error().message, HasSubstr("Read-only file system"));
}

}  // namespace
}  // namespace ollm::io
