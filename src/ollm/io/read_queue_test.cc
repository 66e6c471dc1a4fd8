// Several rings on one queue: the order of their reads, and that none feels what befalls another.
#include "ollm/io/read_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <deque>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "ollm/io/faulty_system_calls.h"
#include "ollm/io/slot_ring.h"
#include "ollm/io/temporary_folder.h"

namespace ollm::io {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Call = FaultySystemCalls::Call;

constexpr std::size_t kPage = File::kDirectAlignment;
constexpr std::size_t kSlotPages = 4;
constexpr std::size_t kFilePages = 256;

std::string random_content() {
  std::string content(kFilePages * kPage, '\0');
  std::mt19937 random(3);
  for (char& c : content) c = static_cast<char>(random());
  return content;
}

// One client: a ring with reads of one page, and memory of its own.
class Client {
 public:
  Client(ReadQueue& queue, std::size_t slots) : memory_((slots * kSlotPages + 1) * kPage) {
    ring_.emplace(queue, SlotRing::Options{slots, kSlotPages * kPage, kPage, kSlotPages},
                  aligned_for_reads(memory_));
  }
  SlotRing& ring() { return *ring_; }

  // Whole pages of the file, at most as many as a slot has.
  void begin(std::size_t slot, const File& file, std::size_t first_page, std::size_t pages,
             ReadPriority priority = ReadPriority::sweep) {
    const Extent extent{&file, first_page * kPage, pages * kPage};
    ring_->begin(slot, {&extent, 1}, priority);
  }

  // What differs from the file's content in the slot; nothing where it is as it should be.
  std::string look_at(std::size_t slot, const std::string& content, std::size_t first_page,
                      std::size_t pages) {
    const Result<const std::byte*> data = ring_->wait(slot);
    if (!data.ok()) return data.error().message;
    const bool same = std::memcmp(*data, content.data() + first_page * kPage, pages * kPage) == 0;
    return same ? "" : "wrong bytes";
  }

 private:
  std::vector<std::byte> memory_;
  std::optional<SlotRing> ring_;
};

// Reads nothing before it is waited for, and notes in which order it was asked.
class NotedReads final : public AsyncReads {
 public:
  NotedReads(std::size_t depth, std::vector<std::size_t>& pages) : depth_(depth), pages_(pages) {}

  ReadMethod method() const override { return ReadMethod::threads; }
  std::size_t depth() const override { return depth_; }
  double own_cpu_seconds() const override { return 0; }
  void submit(const AsyncRead& read) override {
    pages_.push_back(read.offset / kPage);
    reads_.push_back(read);
  }
  ReadDone wait() override {
    const AsyncRead read = reads_.front();
    reads_.pop_front();
    return {read.tag, read.file->read_once(read.offset, {read.out, read.size})};
  }

 private:
  const std::size_t depth_;
  std::vector<std::size_t>& pages_;
  std::deque<AsyncRead> reads_;
};

class ReadOrder : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
  FaultySystemCalls calls_;
  std::string content_ = random_content();
  File file_ = File::open(folder_.write("weights", content_), Access::buffered, calls_).value();
  std::vector<std::size_t> pages_;  // in the order in which they were submitted
  ReadQueue queue_{std::make_unique<NotedReads>(2, pages_)};
};

TEST_F(ReadOrder, IsThatOfTheBeginsOfAllRings) {
  Client tape(queue_, 2), kv(queue_, 2);
  tape.begin(0, file_, 10, 2);
  kv.begin(0, file_, 70, 1);
  tape.begin(1, file_, 20, 2);
  kv.begin(1, file_, 80, 2);
  EXPECT_EQ(tape.look_at(0, content_, 10, 2), "");
  EXPECT_EQ(kv.look_at(0, content_, 70, 1), "");
  EXPECT_EQ(tape.look_at(1, content_, 20, 2), "");
  EXPECT_EQ(kv.look_at(1, content_, 80, 2), "");
  EXPECT_THAT(pages_, ElementsAre(10, 11, 70, 20, 21, 80, 81));
}

TEST_F(ReadOrder, FollowsThePriorities) {
  Client tape(queue_, 2), experts(queue_, 2), hashing(queue_, 1);
  hashing.begin(0, file_, 90, 4, ReadPriority::background);  // two of them are under way at once
  experts.begin(0, file_, 40, 2, ReadPriority::guess);
  tape.begin(0, file_, 10, 2);
  experts.begin(1, file_, 50, 1, ReadPriority::guess);
  tape.begin(1, file_, 20, 1);
  EXPECT_EQ(tape.look_at(1, content_, 20, 1), "");
  EXPECT_EQ(tape.look_at(0, content_, 10, 2), "");
  EXPECT_EQ(experts.look_at(1, content_, 50, 1), "");
  EXPECT_EQ(experts.look_at(0, content_, 40, 2), "");
  EXPECT_EQ(hashing.look_at(0, content_, 90, 4), "");
  // Of the sweep's, the one that was waited for first.
  EXPECT_THAT(pages_, ElementsAre(90, 91, 20, 10, 11, 40, 41, 50, 92, 93));
}

TEST_F(ReadOrder, WhatIsWaitedForGoesFirst) {
  Client tape(queue_, 3), experts(queue_, 1);
  for (std::size_t slot = 0; slot < 3; ++slot) tape.begin(slot, file_, 10 + 10 * slot, 2);
  experts.begin(0, file_, 40, 2, ReadPriority::guess);
  EXPECT_EQ(experts.look_at(0, content_, 40, 2), "");
  EXPECT_THAT(pages_, ElementsAre(10, 11, 40, 41, 20, 21));
  for (std::size_t slot = 0; slot < 3; ++slot)
    EXPECT_EQ(tape.look_at(slot, content_, 10 + 10 * slot, 2), "");
}

TEST_F(ReadOrder, ASlotThatIsBegunAgainGivesUpWhatWaits) {
  Client tape(queue_, 1), kv(queue_, 1);
  tape.begin(0, file_, 10, 4);  // two of them never go to the disk
  kv.begin(0, file_, 70, 2);
  tape.begin(0, file_, 30, 2);
  EXPECT_EQ(tape.look_at(0, content_, 30, 2), "");
  EXPECT_EQ(kv.look_at(0, content_, 70, 2), "");
  EXPECT_THAT(pages_, ElementsAre(10, 11, 70, 71, 30, 31));
}

TEST_F(ReadOrder, ARingForgetsItsOwnReadsAlone) {
  Client tape(queue_, 3), kv(queue_, 1);
  for (std::size_t slot = 0; slot < 3; ++slot) tape.begin(slot, file_, 10 + 10 * slot, 2);
  kv.begin(0, file_, 70, 2);
  tape.ring().forget();
  EXPECT_THAT(pages_, ElementsAre(10, 11, 70, 71));
  tape.begin(1, file_, 50, 1);
  EXPECT_EQ(tape.look_at(1, content_, 50, 1), "");
  EXPECT_EQ(kv.look_at(0, content_, 70, 2), "");
  EXPECT_THAT(pages_, ElementsAre(10, 11, 70, 71, 50));
}

TEST_F(ReadOrder, AShortReadGoesOnBeforeWhatWaits) {
  Client tape(queue_, 3);
  calls_.fail(Call::pread, 0, EINTR);
  for (std::size_t slot = 0; slot < 3; ++slot) tape.begin(slot, file_, 10 + 10 * slot, 1);
  for (std::size_t slot = 0; slot < 3; ++slot)
    EXPECT_EQ(tape.look_at(slot, content_, 10 + 10 * slot, 1), "");
  EXPECT_THAT(pages_, ElementsAre(10, 20, 10, 30));
}

TEST_F(ReadOrder, WhatWasForgottenIsNeitherReadOnNorAnError) {
  for (const int error : {EINTR, EIO, ECANCELED}) {
    pages_.clear();
    Client tape(queue_, 1);
    calls_.fail(Call::pread, 0, error);
    tape.begin(0, file_, 10, 1);
    tape.ring().forget();
    EXPECT_THAT(pages_, ElementsAre(10));
    tape.begin(0, file_, 20, 1);
    EXPECT_EQ(tape.look_at(0, content_, 20, 1), "");
  }
}

TEST_F(ReadOrder, EachRingCountsItsOwn) {
  Client tape(queue_, 1), kv(queue_, 1);
  tape.begin(0, file_, 10, 3);
  kv.begin(0, file_, 70, 1);
  EXPECT_EQ(kv.look_at(0, content_, 70, 1), "");
  EXPECT_EQ(tape.look_at(0, content_, 10, 3), "");
  EXPECT_EQ(tape.ring().bytes_read(), 3 * kPage);
  EXPECT_EQ(kv.ring().bytes_read(), kPage);
}

struct Way {
  const char* name;
  ReadMethod method;
  Access access;
};

class RingsOnAQueue : public ::testing::TestWithParam<Way> {
 protected:
  void SetUp() override {
    if (GetParam().method == ReadMethod::io_uring && !io_uring_allowed())
      GTEST_SKIP() << "skipped: io_uring is not allowed here";
    Result<File> file = File::open(folder_.write("weights", content_), GetParam().access, calls_);
    if (!file.ok())
      GTEST_SKIP() << "skipped: the file system of the temporary folder has no direct access";
    file_.emplace(std::move(*file));
  }

  TemporaryFolder folder_;
  FaultySystemCalls calls_;
  std::string content_ = random_content();
  std::optional<File> file_;
};

// Three rings of which each begins, waits for, drops and forgets slots at random.
TEST_P(RingsOnAQueue, HoldWhatTheFileHoldsWhateverTheOthersDo) {
  constexpr std::size_t kRings = 3, kSlots = 3;
  for (std::uint32_t seed = 0; seed < 12; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    if (seed % 2 == 1) {
      calls_.tear_transfers(seed);
      calls_.interrupt_transfers(seed, 3);
    }
    ReadQueue queue(make_async_reads(GetParam().method, 1 + seed % 5));
    std::deque<Client> clients;
    for (std::size_t i = 0; i < kRings; ++i) clients.emplace_back(queue, kSlots);
    std::optional<std::size_t> first[kRings][kSlots];  // page of what was begun
    for (std::size_t step = 0; step < 300; ++step) {
      const std::size_t ring = random() % kRings, slot = random() % kSlots;
      std::optional<std::size_t>& page = first[ring][slot];
      const std::size_t what = random() % 40;
      if (what == 0) {
        clients[ring].ring().forget();
        for (std::optional<std::size_t>& begun : first[ring]) begun.reset();
      } else if (page && what % 2 == 0) {
        ASSERT_EQ(clients[ring].look_at(slot, content_, *page, kSlotPages), "");
      } else {
        page = random() % (kFilePages - kSlotPages);
        clients[ring].begin(slot, *file_, *page, kSlotPages,
                            static_cast<ReadPriority>(random() % kReadPriorities));
      }
    }
    calls_.heal();
  }
}

TEST_P(RingsOnAQueue, AnErrorReachesItsRingAndSlotAlone) {
  constexpr std::size_t kRings = 2, kSlots = 2;
  for (std::uint64_t k = 0; k < kRings * kSlots * kSlotPages; ++k) {
    SCOPED_TRACE(k);
    ReadQueue queue(make_async_reads(GetParam().method, 1));  // one by one, so that k is known
    std::deque<Client> clients;
    for (std::size_t i = 0; i < kRings; ++i) clients.emplace_back(queue, kSlots);
    calls_.fail(Call::pread, k, EIO);
    for (std::size_t i = 0; i < kRings * kSlots; ++i)
      clients[i % kRings].begin(i / kRings, *file_, 10 * i, kSlotPages);
    for (std::size_t i = 0; i < kRings * kSlots; ++i) {
      const std::string wrong =
          clients[i % kRings].look_at(i / kRings, content_, 10 * i, kSlotPages);
      if (i == k / kSlotPages) {
        EXPECT_THAT(wrong, HasSubstr("Input/output error"));
        EXPECT_THAT(wrong, HasSubstr(std::to_string((10 * i + k % kSlotPages) * kPage)));
      } else {
        EXPECT_EQ(wrong, "");
      }
    }
    calls_.heal();
  }
}

// Its memory is given back then: nothing may be written there any more.
TEST_P(RingsOnAQueue, ARingMayGoWhileItsReadsAreUnderWay) {
  for (std::size_t depth = 1; depth < 8; ++depth) {
    ReadQueue queue(make_async_reads(GetParam().method, depth));
    Client stays(queue, 2);
    for (int round = 0; round < 10; ++round) {
      file_->drop_cached(0, content_.size());
      Client goes(queue, 2);
      goes.begin(0, *file_, 100, kSlotPages);
      stays.begin(0, *file_, 10, kSlotPages);
      goes.begin(1, *file_, 120, kSlotPages, ReadPriority::background);
      stays.begin(1, *file_, 20, kSlotPages);
      if (round % 2 == 0) {
        ASSERT_EQ(stays.look_at(0, content_, 10, kSlotPages), "");
      }
    }
    ASSERT_EQ(stays.look_at(1, content_, 20, kSlotPages), "");
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, RingsOnAQueue,
    ::testing::Values(Way{"io_uring", ReadMethod::io_uring, Access::direct},
                      Way{"pread", ReadMethod::threads, Access::direct},
                      Way{"buffered_io_uring", ReadMethod::io_uring, Access::buffered},
                      Way{"buffered_pread", ReadMethod::threads, Access::buffered}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace ollm::io
