#include "ollm/io/file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "ollm/io/faulty_system_calls.h"
#include "ollm/io/temporary_folder.h"

namespace ollm::io {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Call = FaultySystemCalls::Call;
using Repeat = FaultySystemCalls::Repeat;

std::string pattern(std::size_t size) {
  std::mt19937 random(7);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

std::string read(const File& file, std::uint64_t offset, std::size_t size) {
  std::string out(size, '\0');
  const auto result = file.read_at(offset, std::as_writable_bytes(std::span(out)));
  EXPECT_TRUE(result.ok()) << result.error().message;
  return out;
}

Result<void> try_read(const File& file, std::uint64_t offset, std::size_t size) {
  std::vector<std::byte> out(size);
  return file.read_at(offset, out);
}

struct FreeDeleter {
  void operator()(std::byte* memory) const { std::free(memory); }
};
using AlignedBytes = std::unique_ptr<std::byte[], FreeDeleter>;
AlignedBytes aligned_bytes(std::size_t size) {
  return AlignedBytes(static_cast<std::byte*>(std::aligned_alloc(File::kDirectAlignment, size)));
}

TEST(GrowingFile, IsReadToWhereItEndsNow) {
  const TemporaryFolder folder;
  const auto path = folder.write("grows", pattern(4096));
  for (const Access access : {Access::buffered, Access::direct}) {
    folder.write("grows", pattern(4096));
    const auto file = File::open_growing(path, access);
    if (!file.ok() && file.error().kind == ErrorKind::unsupported) continue;  // no direct access
    ASSERT_TRUE(file.ok()) << file.error().message;
    const AlignedBytes bytes = aligned_bytes(8192);
    const std::span all(bytes.get(), 8192);
    EXPECT_EQ(file->read_up_to(0, all).value(), 4096u);
    EXPECT_EQ(file->read_at(4096, all.first(4096)).error().kind, ErrorKind::corrupt);
    folder.write("grows", pattern(8192));
    EXPECT_TRUE(file->read_at(0, all).ok());
    EXPECT_EQ(std::memcmp(all.data(), pattern(8192).data(), all.size()), 0);
    folder.write("grows", pattern(5000));
    EXPECT_EQ(file->read_up_to(0, all).value(), 5000u) << "one that ends between two sectors";
  }
}

TEST(GrowingFile, IsNotFoundBehindALink) {
  const TemporaryFolder folder;
  std::filesystem::create_symlink(folder.write("file", "a"), folder.path() / "link");
  EXPECT_TRUE(File::open(folder.path() / "link").ok());
  EXPECT_EQ(File::open_growing(folder.path() / "link").error().kind, ErrorKind::io);
}

TEST(File, ReadsAtAnyOffset) {
  const TemporaryFolder folder;
  const std::string bytes = pattern(10000);
  const auto file = File::open(folder.write("weights", bytes));
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->size_bytes(), 10000u);
  EXPECT_EQ(file->alignment_bytes(), 1u);
  EXPECT_EQ(read(*file, 0, 10000), bytes);
  EXPECT_EQ(read(*file, 9999, 1), bytes.substr(9999));
  EXPECT_EQ(read(*file, 1234, 567), bytes.substr(1234, 567));
  EXPECT_EQ(read(*file, 10000, 0), "");
}

TEST(File, AMissingFileIsNotFound) {
  const TemporaryFolder folder;
  for (const auto& path : {folder.path() / "absent", folder.write("file", "x") / "below"}) {
    const auto file = File::open(path);
    ASSERT_FALSE(file.ok());
    EXPECT_EQ(file.error().kind, ErrorKind::not_found);
    EXPECT_THAT(file.error().message, HasSubstr(path.string()));
  }
}

TEST(File, WhatIsNoFileIsRefusedWithoutWaiting) {
  const TemporaryFolder folder;
  const auto fifo = folder.path() / "fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  const std::pair<std::filesystem::path, const char*> cases[] = {
      {folder.path(), "a directory"}, {fifo, "a FIFO"}, {"/dev/null", "a device"}};
  for (const auto& [path, kind] : cases) {
    const auto file = File::open(path);
    ASSERT_FALSE(file.ok()) << path;
    EXPECT_EQ(file.error().kind, ErrorKind::invalid_argument);
    EXPECT_THAT(file.error().message, HasSubstr(kind));
  }
}

TEST(File, AFifoPutThereWhileOpeningIsRefusedWithoutWaiting) {
  // stat still sees a file, open meets the FIFO.
  class Swapped final : public SystemCalls {
   public:
    explicit Swapped(std::filesystem::path file, std::filesystem::path fifo)
        : file_(std::move(file)), fifo_(std::move(fifo)) {}
    int open(const char*, int flags, mode_t mode) override {
      return posix().open(fifo_.c_str(), flags, mode);
    }
    int dup(int) override { return -1; }
    int close(int fd) override { return posix().close(fd); }
    ssize_t pread(int, void*, std::size_t, off_t) override { return -1; }
    ssize_t pwrite(int, const void*, std::size_t, off_t) override { return -1; }
    ssize_t write(int, const void*, std::size_t) override { return -1; }
    int fchmod(int, mode_t) override { return -1; }
    int fstat(int fd, struct stat* out) override { return posix().fstat(fd, out); }
    int stat(const char*, struct stat* out) override { return posix().stat(file_.c_str(), out); }
    int lstat(const char*, struct stat*) override { return -1; }
    int fsync(int) override { return -1; }
    int fdatasync(int) override { return -1; }
    int ftruncate(int, off_t) override { return -1; }
    int fallocate(int, int, off_t, off_t) override { return -1; }
    int fadvise(int, off_t, off_t, int) override { return 0; }
    int rename(const char*, const char*) override { return -1; }
    int unlink(const char*) override { return -1; }
    int mkdir(const char*, mode_t) override { return -1; }
    int flock(int, int) override { return -1; }
    int statvfs(const char*, struct statvfs*) override { return -1; }
    int readlink(const char*, std::string*) override { return -1; }
    int realpath(const char*, std::string*) override { return -1; }
    int list(const char*, std::size_t, std::vector<std::string>*) override { return -1; }

   private:
    std::filesystem::path file_;
    std::filesystem::path fifo_;
  };
  const TemporaryFolder folder;
  const auto path = folder.write("weights", "x");
  const auto fifo = folder.path() / "fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  Swapped calls(path, fifo);
  const auto file = File::open(path, Access::buffered, calls);
  ASSERT_FALSE(file.ok());
  EXPECT_THAT(file.error().message, HasSubstr("a FIFO"));
}

TEST(File, APathWithANulIsRefused) {
  const auto file = File::open(std::string("/etc/hostname\0.safetensors", 26));
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().kind, ErrorKind::invalid_argument);
}

TEST(File, ErrorsOfTheSystemAreIo) {
  const TemporaryFolder folder;
  const auto path = folder.write("weights", "x");
  for (const Call call : {Call::open, Call::fstat, Call::stat}) {
    for (const int error : {EACCES, EMFILE, EIO}) {
      FaultySystemCalls calls;
      calls.fail(call, 0, error);
      const auto file = File::open(path, Access::buffered, calls);
      ASSERT_FALSE(file.ok());
      EXPECT_EQ(file.error().kind, ErrorKind::io);
      EXPECT_THAT(file.error().message,
                  AllOf(HasSubstr("weights"), HasSubstr(describe_errno(error))));
      EXPECT_EQ(calls.open_files(), 0u) << "no descriptor may leak";
    }
  }
}

TEST(File, ReadingPastTheEndIsCorrupt) {
  const TemporaryFolder folder;
  const auto file = File::open(folder.write("weights", pattern(100)));
  ASSERT_TRUE(file.ok());
  const auto result = try_read(*file, 90, 20);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().kind, ErrorKind::corrupt);
  EXPECT_THAT(result.error().message,
              AllOf(HasSubstr("weights"), HasSubstr("ends at byte 100"), HasSubstr("10 of 20")));
  EXPECT_FALSE(try_read(*file, 1ull << 40, 1).ok());
  EXPECT_EQ(try_read(*file, ~0ull, 1).error().kind, ErrorKind::io);
}

TEST(File, ReadUpToStopsAtTheEnd) {
  const TemporaryFolder folder;
  const auto file = File::open(folder.write("weights", pattern(100)));
  ASSERT_TRUE(file.ok());
  std::vector<std::byte> out(64);
  EXPECT_EQ(*file->read_up_to(80, out), 20u);
  EXPECT_EQ(*file->read_up_to(100, out), 0u);
  EXPECT_EQ(*file->read_up_to(0, out), 64u);
}

// reliability B3: short reads of 1 to n-1 bytes, EINTR and EAGAIN, 10,000 random patterns.
TEST(File, TornAndInterruptedReadsAreCompleted) {
  const TemporaryFolder folder;
  const std::string bytes = pattern(4096);
  const auto path = folder.write("weights", bytes);
  FaultySystemCalls calls;
  const auto file = File::open(path, Access::buffered, calls);
  ASSERT_TRUE(file.ok());
  std::mt19937 random(1);
  for (std::uint64_t seed = 0; seed < 10000; ++seed) {
    calls.heal();
    calls.tear_transfers(seed);
    calls.interrupt_transfers(seed, 4);
    const std::size_t offset = random() % bytes.size();
    const std::size_t size = random() % (bytes.size() - offset);
    ASSERT_EQ(read(*file, offset, size), bytes.substr(offset, size)) << "seed " << seed;
  }
  EXPECT_GT(calls.count(Call::pread), 30000u) << "the faults were not injected";
}

TEST(File, InterruptionsWithoutEndAreIo) {
  const TemporaryFolder folder;
  FaultySystemCalls calls;
  const auto file = File::open(folder.write("weights", "abc"), Access::buffered, calls);
  ASSERT_TRUE(file.ok());
  calls.fail(Call::pread, 0, EAGAIN, Repeat::sticky);
  const auto result = try_read(*file, 0, 3);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().kind, ErrorKind::io);
}

// reliability B4: the k-th read fails, once or for good.
TEST(File, AFailedReadNamesFileAndByte) {
  const TemporaryFolder folder;
  const std::string bytes = pattern(8 * 512);
  const auto path = folder.write("model-00003-of-00007.safetensors", bytes);
  for (const Repeat repeat : {Repeat::once, Repeat::sticky}) {
    for (std::uint64_t k = 0; k < 8; ++k) {
      FaultySystemCalls calls;
      const auto file = File::open(path, Access::buffered, calls);
      ASSERT_TRUE(file.ok());
      calls.fail(Call::pread, k, EIO, repeat);
      for (std::uint64_t piece = 0; piece < 8; ++piece) {
        const auto result = try_read(*file, piece * 512, 512);
        const bool fails = repeat == Repeat::once ? piece == k : piece >= k;
        ASSERT_EQ(result.ok(), !fails) << k << " " << piece;
        if (result.ok()) continue;
        EXPECT_EQ(result.error().kind, ErrorKind::io);
        EXPECT_THAT(result.error().message,
                    AllOf(HasSubstr("model-00003-of-00007.safetensors"),
                          HasSubstr("at byte " + std::to_string(piece * 512)),
                          HasSubstr("Input/output error")));
      }
    }
  }
}

TEST(File, ManyThreadsReadAtOnce) {
  const TemporaryFolder folder;
  const std::string bytes = pattern(1 << 16);
  const auto file = File::open(folder.write("weights", bytes));
  ASSERT_TRUE(file.ok());
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      std::mt19937 random(static_cast<std::uint32_t>(t));
      for (int i = 0; i < 500; ++i) {
        const std::size_t offset = random() % bytes.size();
        const std::size_t size = random() % (bytes.size() - offset);
        EXPECT_EQ(read(*file, offset, size), bytes.substr(offset, size));
      }
    });
  for (std::thread& thread : threads) thread.join();
}

TEST(File, MovingKeepsOneOwner) {
  const TemporaryFolder folder;
  FaultySystemCalls calls;
  {
    auto first = File::open(folder.write("a", "aaa"), Access::buffered, calls);
    auto second = File::open(folder.write("b", "bbb"), Access::buffered, calls);
    ASSERT_TRUE(first.ok() && second.ok());
    File moved = std::move(first).value();
    EXPECT_EQ(read(moved, 0, 3), "aaa");
    moved = std::move(second).value();
    EXPECT_EQ(read(moved, 0, 3), "bbb");
    EXPECT_EQ(moved.path().filename(), "b");
    EXPECT_EQ(calls.open_files(), 1u);
  }
  EXPECT_EQ(calls.open_files(), 0u);
}

// reliability B8: on real files.
TEST(File, AReplacedTruncatedTouchedOrRemovedFileIsNoticed) {
  const TemporaryFolder folder;
  const auto later = [](const std::filesystem::path& path) {
    std::filesystem::last_write_time(
        path, std::filesystem::last_write_time(path) + std::chrono::seconds(2));
  };
  struct Case {
    const char* name;
    const char* says;
    std::function<void(const std::filesystem::path&)> change;
  };
  const Case cases[] = {
      {"replaced", "another file was put in its place",
       [&](const auto& path) {
         std::filesystem::rename(folder.write("other", pattern(100)), path);
       }},
      {"truncated", "its size was 100 bytes and is 40 now",
       [](const auto& path) { std::filesystem::resize_file(path, 40); }},
      {"grown", "its size was 100 bytes and is 140 now",
       [](const auto& path) { std::filesystem::resize_file(path, 140); }},
      {"touched", "it was written to", later},
      {"removed", "it was removed", [](const auto& path) { std::filesystem::remove(path); }},
  };
  for (const Case& change : cases) {
    const auto path = folder.write(change.name, pattern(100));
    const auto file = File::open(path);
    ASSERT_TRUE(file.ok());
    EXPECT_TRUE(file->check_unchanged().ok());
    change.change(path);
    const auto result = file->check_unchanged();
    ASSERT_FALSE(result.ok()) << change.name;
    EXPECT_EQ(result.error().kind, ErrorKind::corrupt);
    EXPECT_THAT(result.error().message,
                AllOf(HasSubstr("file changed while in use"), HasSubstr(change.says)));
  }
}

TEST(File, ALinkPointedElsewhereIsNoticed) {
  const TemporaryFolder folder;
  folder.write("blobs/1", "one");
  folder.write("blobs/2", "two");
  const auto link = folder.path() / "model.safetensors";
  std::filesystem::create_symlink("blobs/1", link);
  const auto file = File::open(link);
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE(file->check_unchanged().ok());
  std::filesystem::remove(link);
  std::filesystem::create_symlink("blobs/2", link);
  EXPECT_FALSE(file->check_unchanged().ok());
}

TEST(File, AFileThatShrinksUnderAReadIsCorruptAndNoticed) {
  const TemporaryFolder folder;
  FaultySystemCalls calls;
  const auto file = File::open(folder.write("weights", pattern(4096)), Access::buffered, calls);
  ASSERT_TRUE(file.ok());
  calls.shrink(2000, /*after_reads=*/1);
  EXPECT_TRUE(try_read(*file, 0, 4096).ok());
  const auto second = try_read(*file, 0, 4096);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().kind, ErrorKind::corrupt);
  EXPECT_THAT(second.error().message, HasSubstr("ends at byte 2000"));
  EXPECT_EQ(file->check_unchanged().error().kind, ErrorKind::corrupt);
}

TEST(File, AFailingStatIsIoNotAChange) {
  const TemporaryFolder folder;
  FaultySystemCalls calls;
  const auto file = File::open(folder.write("weights", "x"), Access::buffered, calls);
  ASSERT_TRUE(file.ok());
  calls.fail(Call::fstat, 0, EIO);
  EXPECT_EQ(file->check_unchanged().error().kind, ErrorKind::io);
  calls.fail(Call::stat, 0, EACCES);
  EXPECT_EQ(file->check_unchanged().error().kind, ErrorKind::io);
  EXPECT_TRUE(file->check_unchanged().ok());
}

TEST(File, ReopenRefusesAnotherFile) {
  const TemporaryFolder folder;
  const auto path = folder.write("weights", pattern(100));
  const auto file = File::open(path);
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE(file->reopen(Access::buffered).ok());
  std::filesystem::rename(folder.write("other", pattern(100)), path);
  const auto again = file->reopen(Access::buffered);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().kind, ErrorKind::corrupt);
}

class DirectFile : public ::testing::Test {
 protected:
  // Not every file system under /tmp has direct access; the sources' own one mostly has.
  void SetUp() override {
    file_path_ = folder_.write("weights", bytes_);
    auto file = File::open(file_path_, Access::direct);
    if (!file.ok()) {
      EXPECT_EQ(file.error().kind, ErrorKind::unsupported) << file.error().message;
      GTEST_SKIP() << "skipped: " << file.error().message;
    }
  }
  const std::string bytes_ = pattern(3 * 4096 + 1000);
  TemporaryFolder folder_;
  std::filesystem::path file_path_;
};

TEST_F(DirectFile, ReadsPiecesAndTheUnalignedEnd) {
  const auto file = File::open(file_path_, Access::direct);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->alignment_bytes(), 4096u);
  const auto memory = aligned_bytes(4 * 4096);
  const std::span out(memory.get(), 4 * 4096);
  ASSERT_EQ(*file->read_up_to(0, out), bytes_.size());
  EXPECT_EQ(std::memcmp(out.data(), bytes_.data(), bytes_.size()), 0);
  ASSERT_TRUE(file->read_at(4096, out.first(4096)).ok());
  EXPECT_EQ(std::memcmp(out.data(), bytes_.data() + 4096, 4096), 0);
  EXPECT_EQ(file->read_at(3 * 4096, out.first(4096)).error().kind, ErrorKind::corrupt);
}

TEST_F(DirectFile, TornReadsAreCompletedFromWholeSectors) {
  FaultySystemCalls calls;
  const auto file = File::open(file_path_, Access::direct, calls);
  ASSERT_TRUE(file.ok());
  const auto memory = aligned_bytes(4 * 4096);
  const std::span out(memory.get(), 3 * 4096);
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    calls.heal();
    calls.tear_transfers(seed);
    calls.interrupt_transfers(seed, 3);
    std::memset(out.data(), 0, out.size());
    ASSERT_TRUE(file->read_at(0, out).ok());
    ASSERT_EQ(std::memcmp(out.data(), bytes_.data(), out.size()), 0);
  }
}

TEST(DirectAccess, AFileSystemWithoutItIsUnsupported) {
  const TemporaryFolder folder;
  FaultySystemCalls calls;
  calls.fail(Call::open, 0, EINVAL);
  const auto file = File::open(folder.write("weights", "x"), Access::direct, calls);
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().kind, ErrorKind::unsupported);
  EXPECT_THAT(file.error().message, HasSubstr("no direct access"));
}

TEST(ReadWholeFile, ReadsAllUpToTheLimit) {
  const TemporaryFolder folder;
  for (const std::size_t size : {0u, 1u, 4095u, 4096u, 4097u, 100000u}) {
    const std::string bytes = pattern(size);
    const auto path = folder.write("file", bytes);
    EXPECT_EQ(*read_whole_file(path, size), bytes) << size;
    if (size == 0) continue;
    const auto refused = read_whole_file(path, size - 1);
    ASSERT_FALSE(refused.ok()) << size;
    EXPECT_EQ(refused.error().kind, ErrorKind::unsupported);
    EXPECT_THAT(refused.error().message, AllOf(HasSubstr("file"), HasSubstr("limit")));
  }
}

TEST(ReadWholeFile, AHugeFileIsRefusedBeforeItIsRead) {
  const TemporaryFolder folder;
  const auto path = folder.write("config.json", "");
  std::filesystem::resize_file(path, 100'000'000);  // sparse
  FaultySystemCalls calls;
  const auto refused = read_whole_file(path, 2 << 20, calls);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, AllOf(HasSubstr("95.4 MiB"), HasSubstr("2.0 MiB")));
  EXPECT_EQ(calls.bytes_read(), 0u);
}

TEST(ReadWholeFile, FilesThatTellNoSizeComeWhole) {
  const auto status = read_whole_file("/proc/self/status", 1 << 20);
  ASSERT_TRUE(status.ok()) << status.error().message;
  EXPECT_THAT(*status, HasSubstr("VmHWM"));
}

TEST(ReadWholeFile, AFileThatGrewPastTheLimitIsRefused) {
  const auto maps = read_whole_file("/proc/self/maps", 16);  // says 0, has more
  ASSERT_FALSE(maps.ok());
  EXPECT_EQ(maps.error().kind, ErrorKind::unsupported);
}

TEST(ReadWholeFile, AMissingFileIsNotFound) {
  const TemporaryFolder folder;
  EXPECT_EQ(read_whole_file(folder.path() / "absent", 10).error().kind, ErrorKind::not_found);
}

}  // namespace
}  // namespace ollm::io
