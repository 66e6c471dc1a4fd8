#include "ollm/io/output_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <string>
#include <utility>

#include "ollm/base/thread.h"
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

mode_t mode_of(const std::filesystem::path& path) {
  struct stat status{};
  EXPECT_EQ(::stat(path.c_str(), &status), 0);
  return status.st_mode & 07777;
}

Result<void> write_whole(const std::filesystem::path& path, std::string_view text) {
  OLLM_TRY(OutputFile file, OutputFile::create(path));
  OLLM_TRY_VOID(file.write_at(0, bytes(text)));
  return file.finish();
}

std::string read_all(int fd, std::size_t size) {
  std::string text(size, '\0');
  std::size_t done = 0;
  while (done < size) {
    const ssize_t moved = ::read(fd, text.data() + done, size - done);
    if (moved <= 0) break;
    done += static_cast<std::size_t>(moved);
  }
  return text.substr(0, done);
}

// As every program makes files; one that is replaced keeps what it was given.
TEST_F(OutputFileTest, ANewFileHasTheUmasksModeAndAnOldOneKeepsItsOwn) {
  const mode_t before = ::umask(022);
  const auto made = write_whole(folder_.path() / "new", "new");
  const auto old = folder_.write("old", "old");
  for (const mode_t mode : {0600u, 0640u, 0666u, 0755u}) {
    EXPECT_EQ(::chmod(old.c_str(), mode), 0);
    EXPECT_TRUE(write_whole(old, "new").ok());
    EXPECT_EQ(mode_of(old), mode);
  }
  ::umask(before);
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(mode_of(folder_.path() / "new"), 0644u);
}

TEST_F(OutputFileTest, ALinkStaysAndItsFileIsReplaced) {
  std::filesystem::create_directories(folder_.path() / "a/b");
  const auto file = folder_.write("a/b/file", "old");
  std::filesystem::create_symlink("b/file", folder_.path() / "a/relative");
  std::filesystem::create_symlink(folder_.path() / "a/relative", folder_.path() / "second");
  ASSERT_TRUE(write_whole(folder_.path() / "second", "new").ok());
  EXPECT_TRUE(std::filesystem::is_symlink(folder_.path() / "second"));
  EXPECT_TRUE(std::filesystem::is_symlink(folder_.path() / "a/relative"));
  EXPECT_FALSE(std::filesystem::is_symlink(file));
  EXPECT_EQ(*read_whole_file(file, 100), "new");

  std::filesystem::create_symlink("b/absent", folder_.path() / "a/dangling");
  ASSERT_TRUE(write_whole(folder_.path() / "a/dangling", "made").ok());
  EXPECT_EQ(*read_whole_file(folder_.path() / "a/b/absent", 100), "made");
  EXPECT_TRUE(std::filesystem::is_symlink(folder_.path() / "a/dangling"));
}

TEST_F(OutputFileTest, ALinkThatIsNotFinishedLeavesItsFile) {
  const auto file = folder_.write("file", "old");
  std::filesystem::create_symlink("file", folder_.path() / "link");
  {
    auto out = OutputFile::create(folder_.path() / "link");
    ASSERT_TRUE(out.ok());
    ASSERT_TRUE(out->write_at(0, bytes("hello")).ok());
  }
  EXPECT_EQ(*read_whole_file(file, 100), "old");
  EXPECT_EQ(files(), 2u);
}

TEST_F(OutputFileTest, LinksInACircleAreAnError) {
  std::filesystem::create_symlink("two", folder_.path() / "one");
  std::filesystem::create_symlink("one", folder_.path() / "two");
  const auto out = OutputFile::create(folder_.path() / "one");
  ASSERT_FALSE(out.ok());
  EXPECT_THAT(out.error().message, ::testing::HasSubstr("symbolic links"));
}

TEST_F(OutputFileTest, ADeviceIsWrittenToAndStays) {
  struct stat before{}, after{};
  ASSERT_EQ(::stat("/dev/null", &before), 0);
  auto out = OutputFile::create("/dev/null");
  ASSERT_TRUE(out.ok()) << out.error().message;
  EXPECT_FALSE(out->in_order_only());
  EXPECT_TRUE(out->write_at(5, bytes("world")).ok());
  EXPECT_TRUE(out->write_at(0, bytes("hello")).ok());
  EXPECT_TRUE(out->finish().ok());
  ASSERT_EQ(::stat("/dev/null", &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino);
  EXPECT_TRUE(S_ISCHR(after.st_mode));

  const auto full = write_whole("/dev/full", "hello");
  ASSERT_FALSE(full.ok());
  EXPECT_EQ(full.error().kind, ErrorKind::io);
  EXPECT_THAT(full.error().message, ::testing::HasSubstr("/dev/full: write at byte 0: No space"));
}

TEST_F(OutputFileTest, AFifoTakesBytesInOrder) {
  const auto fifo = folder_.path() / "fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  std::string got;
  {
    const auto reader = Thread::start([&] {
      const int fd = ::open(fifo.c_str(), O_RDONLY);
      got = read_all(fd, 10);
      ::close(fd);
    });
    ASSERT_TRUE(reader.ok());
    auto out = OutputFile::create(fifo);
    ASSERT_TRUE(out.ok()) << out.error().message;
    EXPECT_TRUE(out->in_order_only());
    EXPECT_TRUE(out->write_at(0, bytes("hello")).ok());
    const auto back = out->write_at(2, bytes("x"));
    ASSERT_FALSE(back.ok());
    EXPECT_THAT(back.error().message, ::testing::HasSubstr("fifo: can be written in order only"));
    EXPECT_TRUE(out->write_at(5, bytes("world")).ok());
    EXPECT_TRUE(out->finish().ok());
  }
  EXPECT_EQ(got, "helloworld");
  EXPECT_TRUE(std::filesystem::is_fifo(fifo));
  EXPECT_EQ(files(), 1u);
}

TEST_F(OutputFileTest, AReaderThatGoesIsAnErrorAndNoSignal) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  const auto written = write_whole("/dev/fd/" + std::to_string(ends[1]), "hello");
  ASSERT_FALSE(written.ok());
  EXPECT_THAT(written.error().message, ::testing::HasSubstr("Broken pipe"));
  sigset_t pending;
  ASSERT_EQ(::sigpending(&pending), 0);
  EXPECT_EQ(::sigismember(&pending, SIGPIPE), 0);
  ::close(ends[1]);
}

// As a shell redirects: behind what stands there, to a file without a name, through a socket.
TEST_F(OutputFileTest, ADescriptorOfThisProcessIsWrittenToWhereItIs) {
  const auto log = folder_.write("log", "before ");
  int fd = ::open(log.c_str(), O_RDWR | O_APPEND);
  ASSERT_TRUE(write_whole("/dev/fd/" + std::to_string(fd), "after").ok());
  EXPECT_EQ(*read_whole_file(log, 100), "before after");
  EXPECT_EQ(::unlink(log.c_str()), 0);
  ASSERT_TRUE(write_whole("/proc/self/fd/" + std::to_string(fd), " and after").ok());
  EXPECT_EQ(::lseek(fd, 0, SEEK_SET), 0);
  EXPECT_EQ(read_all(fd, 100), "before after and after");
  ::close(fd);

  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  ASSERT_TRUE(write_whole("/dev/fd/" + std::to_string(ends[0]), "hello").ok());
  EXPECT_EQ(read_all(ends[1], 5), "hello");
  ::close(ends[0]);
  ::close(ends[1]);
  EXPECT_FALSE(write_whole("/dev/fd/" + std::to_string(ends[0]), "hello").ok());
  EXPECT_EQ(files(), 0u);
}

TEST_F(OutputFileTest, WhatCannotBeWrittenToIsRefusedByName) {
  std::filesystem::create_directory(folder_.path() / "folder");
  std::filesystem::create_directory_symlink("folder", folder_.path() / "link");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string socket = (folder_.path() / "socket").string();
  std::strncpy(address.sun_path, socket.c_str(), sizeof address.sun_path - 1);
  const int listening = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::bind(listening, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  struct Case {
    std::string path;
    ErrorKind kind;
    const char* words;
  };
  const std::string root = folder_.path().string() + "/";
  const Case cases[] = {
      {"", ErrorKind::invalid_argument, "an empty path"},
      {std::string("a\0b", 3), ErrorKind::invalid_argument, "a NUL"},
      {root + "folder", ErrorKind::invalid_argument, "folder: is a directory"},
      {root + "folder/", ErrorKind::invalid_argument, "folder/: is a directory"},
      {root + "link", ErrorKind::invalid_argument, "link: is a directory"},
      {root + "absent/", ErrorKind::not_found, "absent/: create"},
      {root + "absent/out", ErrorKind::not_found, "absent/out: create"},
      {socket, ErrorKind::io, "socket: open for writing"},
      {root + std::string(300, 'x'), ErrorKind::io, "File name too long"},
  };
  for (const Case& one : cases) {
    const auto written = write_whole(one.path, "hello");
    ASSERT_FALSE(written.ok()) << one.path;
    EXPECT_EQ(written.error().kind, one.kind) << written.error().message;
    EXPECT_THAT(written.error().message, ::testing::HasSubstr(one.words));
  }
  ::close(listening);
  EXPECT_EQ(files(), 3u);
}

TEST_F(OutputFileTest, AFileThatMayNotBeWrittenToIsNotReplaced) {
  const auto path = folder_.write("out", "old");
  FaultySystemCalls calls;
  calls.fail(FaultySystemCalls::Call::open, 0, EACCES);
  const auto out = OutputFile::create(path, 0666, calls);
  ASSERT_FALSE(out.ok());
  EXPECT_THAT(out.error().message,
              ::testing::HasSubstr("out: open for writing: Permission denied"));
  EXPECT_EQ(*read_whole_file(path, 100), "old");
}

TEST_F(OutputFileTest, NamesAsLongAsNamesCanBeAndOfAnyBytesAreMade) {
  for (const std::string& name : {std::string(255, 'n'), std::string("\xff\xfe\x80")}) {
    ASSERT_TRUE(write_whole(folder_.path() / name, "hello").ok());
    EXPECT_EQ(*read_whole_file(folder_.path() / name, 100), "hello");
  }
}

}  // namespace
}  // namespace ollm::io
