#include "ollm/io/async_reads.h"

#include <gtest/gtest.h>
#include <sys/time.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <deque>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "ollm/base/forbidden_calls.h"
#include "ollm/base/thread.h"
#include "ollm/io/slot_ring.h"
#include "ollm/io/temporary_folder.h"

namespace ollm::io {
namespace {

constexpr std::size_t kSlots = 4;
constexpr std::size_t kSlotBytes = std::size_t{256} << 10;
constexpr std::size_t kReadBytes = std::size_t{16} << 10;
constexpr std::size_t kFileBytes = std::size_t{8} << 20;

// A file, and a ring over it whose slots are begun and looked at in turn.
class Reader {
 public:
  explicit Reader(Access access = Access::buffered) : content_(kFileBytes, '\0') {
    std::mt19937 random(5);
    for (char& c : content_) c = static_cast<char>(random());
    path_ = folder_.write("weights", content_);
    Result<File> file = File::open(path_, access);
    if (file.ok()) file_.emplace(std::move(*file));
    memory_.resize(kSlots * kSlotBytes + File::kDirectAlignment);
  }

  bool has_file() const { return file_.has_value(); }
  // So that reads have to wait for the disk.
  void drop_cached() { file_->drop_cached(0, kFileBytes); }

  void make_ring(std::unique_ptr<AsyncReads> reads) {
    ring_.reset();
    queue_.emplace(std::move(reads));
    ring_.emplace(*queue_, SlotRing::Options{kSlots, kSlotBytes, kReadBytes, 64},
                  aligned_for_reads(memory_));
  }
  ReadMethod method() const { return queue_->method(); }

  void begin(std::size_t slot) {
    const Extent extent{&*file_, next_, kSlotBytes};
    places_[slot] = next_;
    next_ = (next_ + kSlotBytes) % kFileBytes;
    ring_->begin(slot, {&extent, 1});
  }

  // Whether the slot holds what the file does; what went wrong, else nothing.
  std::string look_at(std::size_t slot) {
    const Result<const std::byte*> data = ring_->wait(slot);
    if (!data.ok()) return data.error().message;
    if (std::memcmp(*data, content_.data() + places_[slot], kSlotBytes) != 0) return "wrong bytes";
    return {};
  }

  // Begins and looks at slots in turn; 0 where all held what they should.
  int run(std::size_t steps) {
    for (std::size_t slot = 0; slot < kSlots; ++slot) begin(slot);
    for (std::size_t step = 0; step < steps; ++step) {
      if (const std::string wrong = look_at(step % kSlots); !wrong.empty()) {
        std::fprintf(stderr, "step %zu: %s\n", step, wrong.c_str());
        return 1;
      }
      begin(step % kSlots);
    }
    ring_->forget();
    return 0;
  }

 private:
  TemporaryFolder folder_;
  std::string content_;
  std::filesystem::path path_;
  std::optional<File> file_;
  std::vector<std::byte> memory_;
  std::uint64_t places_[kSlots] = {};
  std::uint64_t next_ = 0;
  std::optional<ReadQueue> queue_;
  std::optional<SlotRing> ring_;
};

// Reads whose first results are scripted: nothing is read then.
class ScriptedReads final : public AsyncReads {
 public:
  explicit ScriptedReads(std::deque<int> errors) : errors_(std::move(errors)) {}

  ReadMethod method() const override { return ReadMethod::io_uring; }
  std::size_t depth() const override { return 4; }
  double own_cpu_seconds() const override { return 0; }
  void submit(const AsyncRead& read) override { reads_.push_back(read); }
  ReadDone wait() override {
    const AsyncRead read = reads_.front();
    reads_.pop_front();
    if (errors_.empty())
      return {read.tag, read.file->read_once(read.offset, {read.out, read.size})};
    const int error = errors_.front();
    errors_.pop_front();
    return {read.tag, -error};
  }

 private:
  std::deque<int> errors_;
  std::deque<AsyncRead> reads_;
};

// Runs in a child, where the test of a possibly forbidding kernel cannot harm other tests.
void expect_in_child(const std::function<int(Reader&)>& body, std::initializer_list<long> calls,
                     int error, bool forbid_first,
                     std::initializer_list<Access> accesses = {Access::direct, Access::buffered}) {
  if (!io_uring_allowed()) GTEST_SKIP() << "skipped: io_uring is not allowed here";
  for (const Access access : accesses) {
    Reader reader(access);
    if (!reader.has_file()) continue;  // no direct access here
    const int result = in_child([&] {
      if (!forbid_first) reader.make_ring(make_async_reads(ReadMethod::io_uring, 8));
      const int before = forbid_first ? 0 : reader.run(10);
      reader.drop_cached();
      if (!forbid_first)  // some are under way when the kernel stops to serve
        for (std::size_t slot = 0; slot < kSlots; ++slot) reader.begin(slot);
      if (before != 0) return before;
      if (!forbid_calls(calls, error)) return kNotPossibleHere;
      return body(reader);
    });
    if (result == kNotPossibleHere) GTEST_SKIP() << "skipped: no seccomp filters here";
    EXPECT_EQ(result, 0) << "errno " << error;
  }
}

TEST(AsyncReads, AQueueThatMayBeMadeAndNotEnteredIsNoQueue) {
  for (const int error : {EPERM, ENOSYS, EACCES}) {
    expect_in_child(
        [](Reader& reader) {
          if (io_uring_allowed() || probe_io_uring().error().kind != ErrorKind::unsupported)
            return 3;
          reader.make_ring(make_async_reads(ReadMethod::io_uring, 8));
          return reader.method() == ReadMethod::threads ? reader.run(20) : 4;
        },
        {SYS_io_uring_enter}, error, true);
  }
}

TEST(AsyncReads, AQueueThatMayNotBeMadeIsServedByThreads) {
  expect_in_child(
      [](Reader& reader) {
        reader.make_ring(make_async_reads(ReadMethod::io_uring, 8));
        return reader.method() == ReadMethod::threads ? reader.run(20) : 4;
      },
      {SYS_io_uring_setup}, EPERM, true);
}

TEST(AsyncReads, ThreadsGoOnWhereTheKernelStopsToServeTheQueue) {
  for (const int error : {EPERM, ENOSYS, EBADF}) {
    expect_in_child(
        [](Reader& reader) {
          const int result = reader.run(20);
          return reader.method() == ReadMethod::threads ? result : 4;
        },
        {SYS_io_uring_enter}, error, false);
  }
}

// A kernel that is short of memory for ever: no loop goes on without an end.
TEST(AsyncReads, AKernelThatAlwaysPutsOffIsGivenUp) {
  expect_in_child(
      [](Reader& reader) {
        const int result = reader.run(20);
        return reader.method() == ReadMethod::threads ? result : 4;
      },
      {SYS_io_uring_enter}, EAGAIN, false, {Access::buffered});
}

TEST(AsyncReads, WithoutAnyThreadTheCallerReads) {
  Reader reader;
  const int result = in_child([&] {
    if (!forbid_calls({SYS_clone, SYS_clone3, SYS_io_uring_enter}, EAGAIN)) return kNotPossibleHere;
    reader.make_ring(make_async_reads(ReadMethod::threads, 8));
    return reader.run(20);
  });
  if (result == kNotPossibleHere) GTEST_SKIP() << "skipped: no seccomp filters here";
  EXPECT_EQ(result, 0);
}

TEST(AsyncReads, SignalsDoNotDisturbAQueue) {
  if (!io_uring_allowed()) GTEST_SKIP() << "skipped: io_uring is not allowed here";
  Reader reader(Access::buffered);
  const int result = in_child([&] {
    struct sigaction action{};
    action.sa_handler = [](int) {};
    ::sigaction(SIGPROF, &action, nullptr);
    const itimerval often{{0, 500}, {0, 500}};
    ::setitimer(ITIMER_PROF, &often, nullptr);
    reader.make_ring(make_async_reads(ReadMethod::io_uring, 8));
    for (int round = 0; round < 4; ++round) {
      reader.drop_cached();
      if (reader.run(100) != 0) return 1;
    }
    return reader.method() == ReadMethod::io_uring ? 0 : 4;
  });
  EXPECT_EQ(result, 0);
}

// Reads end with the thread that began them, and come back as ECANCELED or EFAULT.
TEST(AsyncReads, OutliveTheThreadThatBeganThem) {
  if (!io_uring_allowed()) GTEST_SKIP() << "skipped: io_uring is not allowed here";
  for (const Access access : {Access::direct, Access::buffered}) {
    Reader reader(access);
    if (!reader.has_file()) continue;
    for (int round = 0; round < 25; ++round) {
      reader.drop_cached();
      reader.make_ring(make_async_reads(ReadMethod::io_uring, 64));
      {
        Result<Thread> thread = Thread::start([&] {
          for (std::size_t slot = 0; slot < kSlots; ++slot) reader.begin(slot);
        });
        ASSERT_TRUE(thread.ok());
      }
      for (std::size_t slot = 0; slot < kSlots; ++slot)
        ASSERT_EQ(reader.look_at(slot), "") << "round " << round;
    }
  }
}

TEST(AsyncReads, WhatTheQueueLostIsAskedOfTheFileOnce) {
  Reader reader;
  for (const int error : {ECANCELED, EFAULT, EINTR, EINVAL, ENOMEM}) {
    reader.make_ring(std::make_unique<ScriptedReads>(std::deque<int>{error, error, error}));
    for (std::size_t slot = 0; slot < kSlots; ++slot) reader.begin(slot);
    for (std::size_t slot = 0; slot < kSlots; ++slot) EXPECT_EQ(reader.look_at(slot), "");
  }
}

TEST(AsyncReads, AnErrorOfTheFileIsNotAskedAgain) {
  Reader reader;
  reader.make_ring(std::make_unique<ScriptedReads>(std::deque<int>{EIO}));
  reader.begin(0);
  EXPECT_NE(reader.look_at(0).find("Input/output error"), std::string::npos);
}

}  // namespace
}  // namespace ollm::io
