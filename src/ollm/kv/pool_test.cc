#include "ollm/kv/pool.h"

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "ollm/base/forbidden_calls.h"
#include "ollm/io/faulty_system_calls.h"
#include "ollm/kv/pool_folder.h"
#include "ollm/kv/power_cut_calls.h"

namespace ollm::kv {
namespace {

using PoolTest = PoolFolderTest;
using Call = io::FaultySystemCalls::Call;

TEST_F(PoolTest, FindsWhatWasStoredAndReadsTheSameBytes) {
  const auto pool = open_pool(options());
  ASSERT_OK(store_line(*pool, fingerprint_, line_));
  EXPECT_EQ(stored_tokens(*pool, line_), line_.size());
  EXPECT_EQ(pool->counters().blocks_committed, 11u);
  auto longer = line_;
  longer.push_back(7);
  EXPECT_EQ(stored_tokens(*pool, longer), line_.size());
  auto other = line_;
  other[50] += 1;
  EXPECT_EQ(stored_tokens(*pool, other), 50u) << "the part of a block that they share";
}

TEST_F(PoolTest, ReadsPastThePageCacheWhatIsStillInIt) {
  PoolOptions direct = options();
  direct.access = io::Access::direct;
  const auto pool = open_pool(direct);
  const auto records = write_line(*pool, fingerprint_, line_);
  ASSERT_OK(records);
  for (const BlockRecord& record : *records) EXPECT_EQ(read_block(record), Read::right);
  ASSERT_OK(pool->commit(*records));
  EXPECT_EQ(stored_tokens(*pool, line_), line_.size());
}

TEST_F(PoolTest, IsFoundAfterAReopeningAndByAnotherPool) {
  auto pool = open_pool(options());
  ASSERT_OK(store_line(*pool, fingerprint_, line_));
  const auto beside = open_pool(options());
  EXPECT_EQ(stored_tokens(*beside, line_), line_.size());
  pool.reset();
  pool = open_pool(options());
  EXPECT_EQ(stored_tokens(*pool, line_), line_.size());
  EXPECT_EQ(segments(folder()).size(), 1u);
}

TEST_F(PoolTest, StatesAreFoundByAllOfTheirTokens) {
  auto pool = open_pool(options());
  std::vector<BlockRecord> records;
  for (const std::size_t count : {3u, 5u, 8u}) {
    const auto tokens = std::span(line_).first(count);
    BlockRecord record{.id = block_id(fingerprint_, 1, root_id(), tokens),
                       .parent = root_id(),
                       .group = 1,
                       .tokens = {tokens.begin(), tokens.end()},
                       .place = {},
                       .checksums = {},
                       .kind = BlockKind::states};
    record.place = *pool->place(kTestLayers, kTestPart, {}, /*alone=*/true);
    AlignedBytes payload = test_payload(record.id);
    record.checksums = *pool->write(record.place, payload.data(), kTestPart);
    records.push_back(std::move(record));
  }
  ASSERT_OK(pool->commit(records));
  pool.reset();
  pool = open_pool(options());
  const auto found = [&](std::size_t tokens, Pool::Fit fit) {
    const auto match = pool->match(1, root_id(), std::span(line_).first(tokens), fit);
    if (!match) return std::size_t{0};
    EXPECT_EQ(match->record.kind, BlockKind::states);
    return match->common;
  };
  EXPECT_EQ(found(2, Pool::Fit::whole), 0u);
  EXPECT_EQ(found(3, Pool::Fit::whole), 3u);
  EXPECT_EQ(found(7, Pool::Fit::whole), 5u);
  EXPECT_EQ(found(9, Pool::Fit::whole), 8u);
  EXPECT_EQ(found(7, Pool::Fit::beginning), 7u);
}

TEST_F(PoolTest, AnotherFingerprintGroupOrParentFindsNothing) {
  auto pool = open_pool(options());
  ASSERT_OK(store_line(*pool, fingerprint_, line_));
  EXPECT_FALSE(pool->match(1, root_id(), line_));
  EXPECT_FALSE(pool->match(0, root_id("salt"), line_));
  ASSERT_OK(pool->set_fingerprint(test_fingerprint("another model")));
  pool.reset();
  const auto other = std::move(Pool::open(options(), io::posix())).value();
  EXPECT_FALSE(other->match(0, root_id(), line_)) << "no fingerprint yet";
  ASSERT_OK(other->set_fingerprint(test_fingerprint("another model")));
  EXPECT_FALSE(other->match(0, root_id(), line_));
}

TEST_F(PoolTest, RefreshTakesInWhatOthersCommitted) {
  const auto reader = open_pool(options());
  const auto writer = open_pool(options());
  ASSERT_OK(store_line(*writer, fingerprint_, line_));
  EXPECT_EQ(stored_tokens(*reader, line_), 0u);
  ASSERT_OK(reader->refresh());
  EXPECT_EQ(stored_tokens(*reader, line_), line_.size());
  const auto second = test_tokens(2, 40);
  ASSERT_OK(store_line(*writer, fingerprint_, second));
  ASSERT_OK(reader->refresh());
  EXPECT_EQ(stored_tokens(*reader, second), second.size());
}

TEST_F(PoolTest, TwoPoolsWriteTwoFilesAndOneAfterTheOtherGoesOnWithTheFirst) {
  auto first = open_pool(options());
  auto second = open_pool(options());
  ASSERT_OK(store_line(*first, fingerprint_, line_));
  const auto other = test_tokens(2, 40);
  ASSERT_OK(store_line(*second, fingerprint_, other));
  EXPECT_EQ(segments(folder()).size(), 2u);
  first.reset();
  second.reset();
  first = open_pool(options());
  const auto third = test_tokens(3, 40);
  ASSERT_OK(store_line(*first, fingerprint_, third));
  EXPECT_EQ(segments(folder()).size(), 2u);
  for (const auto& line : {line_, other, third})
    EXPECT_EQ(stored_tokens(*first, line), line.size());
}

TEST_F(PoolTest, UncommittedBlocksAreNotFoundAndGiveTheirSpaceBack) {
  auto pool = open_pool(options());
  ASSERT_OK(store_line(*pool, fingerprint_, line_));
  const std::uint64_t before = disk_bytes(folder());
  const auto other = test_tokens(2, 400);
  ASSERT_OK(write_line(*pool, fingerprint_, other));
  EXPECT_EQ(stored_tokens(*pool, other), 0u);
  EXPECT_GE(disk_bytes(folder()), before + 50 * kTestLayers * kTestPart);
  pool.reset();
  EXPECT_EQ(disk_bytes(folder()), before);
  pool = open_pool(options());
  EXPECT_EQ(stored_tokens(*pool, other), 0u);
  EXPECT_EQ(stored_tokens(*pool, line_), line_.size());
}

TEST_F(PoolTest, ConsecutiveBlocksStandInOneStripeLayerByLayer) {
  const auto pool = open_pool(options());
  const auto records = write_line(*pool, fingerprint_, test_tokens(2, 8 * kTestBlockTokens));
  ASSERT_OK(records);
  for (std::size_t i = 0; i < 8; ++i) {
    const BlockPlace& place = (*records)[i].place;
    EXPECT_EQ(place.stride, 4 * kTestPart);
    EXPECT_EQ(place.offset % 4096, 0u);
    if (i % 4 != 0) {
      EXPECT_EQ(place.offset, (*records)[i - 1].place.offset + kTestPart);
    }
  }
  const auto alone = pool->place(kTestLayers, kTestPart, (*records)[2].place, true);
  ASSERT_OK(alone);
  EXPECT_EQ(alone->stride, kTestPart);
  const auto taken = pool->place(kTestLayers, kTestPart, (*records)[2].place);
  ASSERT_OK(taken);
  EXPECT_NE(taken->offset, (*records)[3].place.offset) << "what follows it is another block";
}

TEST_F(PoolTest, AStripeIsGoneOnWithAfterAReopening) {
  auto pool = open_pool(options());
  const auto tokens = test_tokens(2, 4 * kTestBlockTokens);
  ASSERT_OK(store_line(*pool, fingerprint_, std::span(tokens).first(2 * kTestBlockTokens)));
  pool.reset();
  pool = open_pool(options());
  ASSERT_OK(store_line(*pool, fingerprint_, tokens));
  EXPECT_EQ(stored_tokens(*pool, tokens), tokens.size());
  const auto first = pool->match(0, root_id(), tokens);
  ASSERT_TRUE(first);
  BlockRecord record = first->record;
  for (std::size_t block = 1; block < 4; ++block) {
    const auto next =
        pool->match(0, record.id, std::span(tokens).subspan(block * kTestBlockTokens));
    ASSERT_TRUE(next);
    EXPECT_EQ(next->record.place.offset, record.place.offset + kTestPart);
    record = next->record;
  }
}

TEST_F(PoolTest, AFullFileIsFollowedByAnother) {
  PoolOptions small = options();
  small.file_bytes = 1 << 18;
  auto pool = open_pool(small);
  const auto tokens = test_tokens(2, 100 * kTestBlockTokens);
  ASSERT_OK(store_line(*pool, fingerprint_, tokens));
  EXPECT_GE(segments(folder()).size(), 3u);
  EXPECT_EQ(stored_tokens(*pool, tokens), tokens.size());
  pool.reset();
  pool = open_pool(small);
  EXPECT_EQ(stored_tokens(*pool, tokens), tokens.size());
}

TEST_F(PoolTest, DiskBytesAreLittleMoreThanTheBlocks) {
  PoolOptions large = options();
  large.stripe_part_bytes = std::uint64_t{512} << 10;
  const auto pool = open_pool(large);
  const Digest id = sha256("block");
  constexpr std::uint32_t kPart = 256 << 10;
  std::vector<BlockRecord> records;
  BlockPlace before;
  for (TokenId i = 0; i < 8; ++i) {
    const auto place = pool->place(4, kPart, before);
    ASSERT_OK(place);
    before = *place;
    AlignedBytes payload = test_payload(id, 4, kPart);
    const auto written = pool->write(*place, payload.data(), kPart);
    ASSERT_OK(written);
    const Digest parent = records.empty() ? root_id() : records.back().id;
    const std::vector<TokenId> tokens(128, i);
    records.push_back(
        {block_id(fingerprint_, 0, parent, tokens), parent, 0, tokens, *place, *written});
  }
  ASSERT_OK(pool->commit(records));
  EXPECT_LE(static_cast<double>(disk_bytes(folder())), 1.02 * 8 * 4 * kPart);
}

TEST_F(PoolTest, ABlockThatIsSetAsideIsFoundByNobody) {
  auto pool = open_pool(options());
  ASSERT_OK(store_line(*pool, fingerprint_, line_));
  auto other = open_pool(options());
  const auto first = other->match(0, root_id(), line_);
  ASSERT_TRUE(first);
  other->set_aside(first->record.id);
  EXPECT_FALSE(other->match(0, root_id(), line_));
  EXPECT_EQ(other->counters().blocks_set_aside, 1u);
  other.reset();
  ASSERT_OK(pool->refresh());
  EXPECT_FALSE(pool->match(0, root_id(), line_));
  ASSERT_OK(store_line(*pool, fingerprint_, line_)) << "stored anew";
  pool.reset();
  pool = open_pool(options());
  EXPECT_EQ(stored_tokens(*pool, line_), line_.size());
}

TEST_F(PoolTest, UnlinkedFilesLeaveNothingAndAreFoundInThisProcess) {
  auto pool = open_pool(options(false));
  const auto records = write_line(*pool, fingerprint_, line_);
  ASSERT_OK(records);
  ASSERT_OK(pool->commit(*records));
  EXPECT_EQ(stored_tokens(*pool, line_), line_.size());
  EXPECT_TRUE(std::filesystem::is_empty(folder()));
  pool->give_back((*records)[0].place);
  EXPECT_EQ(stored_tokens(*pool, line_), 0u);
  pool.reset();
  pool = open_pool(options(false));
  EXPECT_EQ(stored_tokens(*pool, line_), 0u);
  EXPECT_TRUE(std::filesystem::is_empty(folder()));
}

TEST_F(PoolTest, UnlinkedFilesAreClosedWhenTheirLastBlockWasGivenBack) {
  io::FaultySystemCalls calls;
  PoolOptions small = options(false);
  small.file_bytes = 1 << 16;
  const auto pool = open_pool(small, calls);
  for (int i = 0; i < 20; ++i) {
    const auto records = write_line(*pool, fingerprint_, test_tokens(2, 64));
    ASSERT_OK(records);
    for (const BlockRecord& record : *records) pool->give_back(record.place);
  }
  EXPECT_LE(calls.open_files(), 10u);
}

TEST_F(PoolTest, UnlinkedFilesGiveTheirSpaceBackBeforeTheDiskCountsAsFull) {
  io::FaultySystemCalls calls;
  const auto pool = open_pool(options(false), calls);
  const auto kept = write_line(*pool, fingerprint_, test_tokens(1, 16));
  ASSERT_OK(kept);
  const auto records = write_line(*pool, fingerprint_, test_tokens(2, 64));
  ASSERT_OK(records);
  for (const BlockRecord& record : *records) pool->give_back(record.place);
  EXPECT_EQ(calls.count(Call::fallocate), 0u) << "not one by one";
  calls.fail(Call::pwrite, 0, ENOSPC);
  ASSERT_OK(pool->place(kTestLayers, kTestPart, {}));
  EXPECT_EQ(calls.count(Call::fallocate), 8 * kTestLayers);
  for (const BlockRecord& record : *kept) EXPECT_EQ(read_block(record), Read::right);
}

TEST_F(PoolTest, AfterForkEveryCallIsRefused) {
  const auto pool = open_pool(options());
  ASSERT_OK(store_line(*pool, fingerprint_, line_));
  const auto record = pool->match(0, root_id(), line_);
  ASSERT_TRUE(record);
  EXPECT_EQ(in_child([&] {
              const BlockPlace before = record->record.place;
              const bool refused = !pool->match(0, root_id(), line_) && !pool->refresh().ok() &&
                                   !pool->place(kTestLayers, kTestPart, before).ok() &&
                                   !pool->commit({}).ok() &&
                                   !pool->set_fingerprint(fingerprint_).ok();
              return refused ? 0 : 1;
            }),
            0);
  EXPECT_EQ(stored_tokens(*pool, line_), line_.size());
}

TEST_F(PoolTest, TwoProcessesShareTheFolder) {
  const auto pool = open_pool(options());
  ASSERT_OK(store_line(*pool, fingerprint_, line_));
  const auto second = test_tokens(2, 40);
  EXPECT_EQ(in_child([&] {
              const auto child = open_pool(options());
              if (stored_tokens(*child, line_) != line_.size()) return 1;
              return store_line(*child, fingerprint_, second).ok() ? 0 : 2;
            }),
            0);
  ASSERT_OK(pool->refresh());
  EXPECT_EQ(stored_tokens(*pool, second), second.size());
}

TEST_F(PoolTest, ThreadsLookUpAndLetGoWhileOneWritesAndEvicts) {
  PowerCutCalls calls;  // makes no syncs
  PoolOptions small = options();
  small.cap_bytes = 64 * kTestLayers * kTestPart;
  small.file_bytes = 24 * kTestLayers * kTestPart;
  const auto pool = open_pool(small, calls);
  std::atomic<bool> done = false;
  const auto look_up = [&] {
    for (std::uint64_t i = 0; !done; i = (i + 1) % 12) {
      stored_tokens(*pool, test_tokens(i, 40));  // ends the test at a wrong byte
      if (i == 0) {
        EXPECT_TRUE(succeeded(pool->refresh()));
      }
      pool->used(root_id());
    }
  };
  std::thread first(look_up);
  std::thread second(look_up);
  for (std::uint64_t i = 0; i < 36; ++i) {
    const auto records = write_line(*pool, fingerprint_, test_tokens(i % 12, 40));
    if (!records.ok()) {
      EXPECT_EQ(records.error().kind, ErrorKind::out_of_budget) << records.error().message;
      continue;
    }
    EXPECT_TRUE(succeeded(pool->commit(*records)));
    for (const BlockRecord& record : *records) pool->release(record.id);
  }
  done = true;
  first.join();
  second.join();
  EXPECT_EQ(pool->counters().blocks_set_aside, 0u);
  EXPECT_GT(pool->counters().blocks_evicted, 0u);
}

}  // namespace
}  // namespace ollm::kv
