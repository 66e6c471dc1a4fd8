#include "ollm/io/slot_ring.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <random>
#include <string>

#include "ollm/io/faulty_system_calls.h"
#include "ollm/io/temporary_folder.h"

namespace ollm::io {
namespace {

constexpr std::size_t kFileBytes = 300'000;  // not a whole number of pages

// Memory as the ring wants it.
class Pages {
 public:
  explicit Pages(std::size_t bytes) : bytes_(bytes) {
    data_ = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  }
  ~Pages() { ::munmap(data_, bytes_); }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  std::span<std::byte> span() { return {static_cast<std::byte*>(data_), bytes_}; }

 private:
  std::size_t bytes_;
  void* data_;
};

struct Kind {
  const char* name;
  ReadMethod method;
  Access access;
};

class SlotRingTest : public testing::TestWithParam<Kind> {
 protected:
  SlotRingTest() {
    content_.resize(kFileBytes);
    std::mt19937 random(7);
    for (char& c : content_) c = static_cast<char>(random());
    path_ = folder_.write("weights", content_);
    Result<File> file = File::open(path_, GetParam().access, calls_);
    if (!file.ok() && file.error().kind == ErrorKind::unsupported) return;
    EXPECT_TRUE(file.ok()) << file.error().message;
    file_.emplace(std::move(*file));
  }

  void SetUp() override {
    if (!file_) GTEST_SKIP() << "the file system of the temporary folder has no direct access";
    if (GetParam().method == ReadMethod::io_uring && !io_uring_allowed())
      GTEST_SKIP() << "io_uring is not allowed here";
  }

  // A ring on a queue of its own, in the place of the one before.
  SlotRing* ring(std::size_t slots, std::size_t depth = 4) {
    ring_.reset();
    queue_.emplace(make_async_reads(GetParam().method, depth));
    const SlotRing::Options options{slots, kSlotBytes, kReadBytes, 64};
    return &ring_.emplace(*queue_, options, pages_.span());
  }

  // That the slot holds what the file does, extent by extent.
  void expect_holds(const std::byte* slot, std::span<const Extent> extents) {
    for (const Extent& extent : extents) {
      const std::byte* at = slot + SlotRing::lead_bytes(extent.offset_bytes);
      ASSERT_EQ(std::memcmp(at, content_.data() + extent.offset_bytes, extent.size_bytes), 0)
          << "extent of " << extent.size_bytes << " at " << extent.offset_bytes;
      slot += SlotRing::space_bytes(extent.offset_bytes, extent.size_bytes);
    }
  }

  std::vector<Extent> random_extents(std::mt19937& random) {
    std::vector<Extent> extents;
    std::uint64_t left = kSlotBytes;
    for (;;) {
      const std::uint64_t offset = random() % kFileBytes;
      const std::uint64_t size =
          std::min<std::uint64_t>(1 + random() % 40'000, kFileBytes - offset);
      const std::uint64_t space = SlotRing::space_bytes(offset, size);
      if (space > left) return extents;
      left -= space;
      extents.push_back({&*file_, offset, size});
    }
  }

  // Begins and uses slots in turn as the tape does, with random extents.
  void run_passes(std::uint32_t seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    SlotRing* const ring = this->ring(kSlots);
    std::vector<std::vector<Extent>> extents(kSlots);
    for (std::size_t i = 0; i < kSlots; ++i) ring->begin(i, extents[i] = random_extents(random));
    for (std::size_t step = 0; step < 40; ++step) {
      const std::size_t slot = step % kSlots;
      const Result<const std::byte*> data = ring->wait(slot);
      ASSERT_TRUE(data.ok()) << data.error().message;
      expect_holds(*data, extents[slot]);
      ring->begin(slot, extents[slot] = random_extents(random));
    }
  }

  static constexpr std::size_t kSlots = 3;
  static constexpr std::size_t kSlotBytes = 96 * 1024;
  static constexpr std::size_t kReadBytes = 16 * 1024;

  TemporaryFolder folder_;
  FaultySystemCalls calls_;
  std::string content_;
  std::filesystem::path path_;
  std::optional<File> file_;
  Pages pages_{kSlots * kSlotBytes};
  std::optional<ReadQueue> queue_;
  std::optional<SlotRing> ring_;
};

TEST_P(SlotRingTest, HoldsWhatTheFileHolds) {
  for (std::uint32_t seed = 0; seed < 20; ++seed) run_passes(seed);
}

TEST_P(SlotRingTest, ReadsOnThroughShortReadsAndInterruptions) {
  for (std::uint32_t seed = 0; seed < 6; ++seed) {
    calls_.tear_transfers(seed);
    calls_.interrupt_transfers(seed, 5);
    run_passes(seed);
    calls_.heal();
  }
}

TEST_P(SlotRingTest, AnErrorStaysWithItsSlotAndNamesFileAndByte) {
  const Extent first{&*file_, 100, 30'000};
  const Extent second{&*file_, 150'000, 30'000};
  for (std::uint64_t k = 0; k < 4; ++k) {
    SlotRing* const ring = this->ring(2, 1);  // one by one, so that k is known
    calls_.fail(FaultySystemCalls::Call::pread, k, EIO);
    ring->begin(0, {&first, 1});
    ring->begin(1, {&second, 1});
    for (std::size_t slot = 0; slot < 2; ++slot) {
      const Result<const std::byte*> data = ring->wait(slot);
      if (slot == k / 2) {
        ASSERT_FALSE(data.ok());
        EXPECT_EQ(data.error().kind, ErrorKind::io);
        EXPECT_NE(data.error().message.find(path_.string()), std::string::npos);
        EXPECT_NE(data.error().message.find("at byte"), std::string::npos) << data.error().message;
      } else {
        ASSERT_TRUE(data.ok()) << data.error().message;
        expect_holds(*data, {slot == 0 ? &first : &second, 1});
      }
    }
    calls_.heal();
    ring->begin(k / 2, {&first, 1});  // the fault was single: the slot serves again
    const Result<const std::byte*> again = ring->wait(k / 2);
    ASSERT_TRUE(again.ok()) << again.error().message;
    expect_holds(*again, {&first, 1});
  }
}

// By another process, between any two reads.
TEST_P(SlotRingTest, AFileThatIsCutWhileItIsReadIsCorruptFromThereOn) {
  const Extent first{&*file_, 0, 40'000};
  const Extent second{&*file_, 150'000, 40'000};
  for (std::uint64_t k = 0; k < 6; ++k) {
    SCOPED_TRACE(k);
    SlotRing* const ring = this->ring(2, 1);  // one by one, so that k is known
    calls_.shrink(160'000, k);
    ring->begin(0, {&first, 1});
    ring->begin(1, {&second, 1});
    const Result<const std::byte*> whole = ring->wait(0);
    ASSERT_TRUE(whole.ok()) << whole.error().message;
    expect_holds(*whole, {&first, 1});
    const Result<const std::byte*> cut = ring->wait(1);
    calls_.heal();
    ASSERT_FALSE(cut.ok());
    EXPECT_EQ(cut.error().kind, ErrorKind::corrupt);
    EXPECT_NE(cut.error().message.find("the file ends at byte"), std::string::npos)
        << cut.error().message;
  }
}

TEST_P(SlotRingTest, AFileThatEndsFirstIsCorrupt) {
  SlotRing* const ring = this->ring(1);
  const Extent beyond{&*file_, kFileBytes - 100, 101};
  ring->begin(0, {&beyond, 1});
  const Result<const std::byte*> data = ring->wait(0);
  ASSERT_FALSE(data.ok());
  EXPECT_EQ(data.error().kind, ErrorKind::corrupt);
  EXPECT_NE(data.error().message.find("ends at byte 300000"), std::string::npos)
      << data.error().message;
}

TEST_P(SlotRingTest, ForgetsWhatWasUnderWay) {
  SlotRing* const ring = this->ring(kSlots);
  const Extent all{&*file_, 0, 90'000};
  const Extent beyond{&*file_, kFileBytes - 1, 2};
  for (int round = 0; round < 10; ++round) {
    ring->begin(0, {&all, 1});
    ring->begin(1, {&beyond, 1});
    ring->forget();
    ring->begin(1, {&all, 1});
    const Result<const std::byte*> data = ring->wait(1);
    ASSERT_TRUE(data.ok()) << data.error().message;
    expect_holds(*data, {&all, 1});
  }
}

TEST_P(SlotRingTest, CountsWhatWasRead) {
  SlotRing* const ring = this->ring(1);
  const Extent extent{&*file_, 4000, 200};  // over a border of two pages
  ring->begin(0, {&extent, 1});
  ASSERT_TRUE(ring->wait(0).ok());
  EXPECT_EQ(ring->bytes_read(), 8192U);
  EXPECT_EQ(SlotRing::reads({1, kSlotBytes, kReadBytes, 64}, 4000, 200), 1U);
  EXPECT_EQ(SlotRing::reads({1, kSlotBytes, kReadBytes, 64}, 4000, 16384), 1U);  // a page more
  EXPECT_EQ(SlotRing::reads({1, kSlotBytes, kReadBytes, 64}, 4000, 30000), 2U);
}

TEST_P(SlotRingTest, BufferedReadsLeaveThePageCache) {
  if (GetParam().access != Access::buffered) GTEST_SKIP() << "direct reads never enter it";
  const std::uint64_t before = calls_.count(FaultySystemCalls::Call::fadvise);
  SlotRing* const ring = this->ring(1);
  const Extent extent{&*file_, 0, 16384};
  ring->begin(0, {&extent, 1});
  ASSERT_TRUE(ring->wait(0).ok());
  EXPECT_EQ(calls_.count(FaultySystemCalls::Call::fadvise), before + 1);
}

INSTANTIATE_TEST_SUITE_P(All, SlotRingTest,
                         testing::Values(Kind{"io_uring", ReadMethod::io_uring, Access::direct},
                                         Kind{"pread", ReadMethod::threads, Access::direct},
                                         Kind{"buffered", ReadMethod::threads, Access::buffered},
                                         Kind{"buffered_io_uring", ReadMethod::io_uring,
                                              Access::buffered}),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace ollm::io
