#include "ollm/kv/eviction.h"

#include <cerrno>
#include <string>
#include <vector>

#include "ollm/io/faulty_system_calls.h"
#include "ollm/kv/pool_folder.h"
#include "ollm/kv/pool_tools.h"
#include "ollm/kv/power_cut_calls.h"
#include "ollm/kv/record.h"
#include "ollm/kv/segment_folder.h"

namespace ollm::kv {
namespace {

using Call = io::FaultySystemCalls::Call;
using Repeat = io::FaultySystemCalls::Repeat;

constexpr std::uint64_t kBlockBytes = std::uint64_t{kTestLayers} * kTestPart;

class EvictionTest : public PoolFolderTest {
 protected:
  // Lines of ten blocks.
  static std::vector<TokenId> line(std::uint64_t seed) {
    return test_tokens(100 + seed, 10 * kTestBlockTokens);
  }
  PoolOptions capped(std::uint64_t blocks) const {
    PoolOptions out = options();
    out.cap_bytes = blocks * kBlockBytes;
    return out;
  }
  // Stores a line and lets go of its blocks, as a session does that ends.
  static void store_and_release(Pool& pool, std::span<const TokenId> tokens) {
    const auto records = write_line(pool, test_fingerprint(), tokens);
    ASSERT_OK(records);
    ASSERT_OK(pool.commit(*records));
    for (const BlockRecord& record : *records) pool.release(record.id);
  }
  static Digest last_block(Pool& pool, std::span<const TokenId> tokens) {
    Digest parent = root_id();
    while (!tokens.empty()) {
      const auto found = pool.match(0, parent, tokens);
      if (!found) break;
      pool.release(found->record.id);
      parent = found->record.id;
      tokens = tokens.subspan(found->common);
    }
    return parent;
  }
};

TEST_F(EvictionTest, WhatWasUsedLongestAgoGoesFirstAndItsLastBlocksBeforeItsFirst) {
  PowerCutCalls calls;  // makes no syncs
  const auto pool = open_pool(capped(56), calls);
  for (std::uint64_t i = 0; i < 3; ++i) store_and_release(*pool, line(i));
  pool->used(last_block(*pool, line(0)));
  store_and_release(*pool, line(3));  // writes the note of the use
  store_and_release(*pool, line(4));
  EXPECT_LE(disk_bytes(folder()), 56 * kBlockBytes);
  EXPECT_EQ(stored_tokens(*pool, line(0)), line(0).size()) << "used since";
  EXPECT_LT(stored_tokens(*pool, line(1)), line(1).size());
  EXPECT_EQ(stored_tokens(*pool, line(3)), line(3).size());
  EXPECT_EQ(stored_tokens(*pool, line(4)), line(4).size());
  EXPECT_GT(pool->counters().blocks_evicted, 0u);
  EXPECT_EQ(pool->counters().blocks_set_aside, 0u) << "nobody had to learn it from a checksum";
  const auto again = open_pool(capped(56));
  EXPECT_EQ(stored_tokens(*again, line(0)), line(0).size());
  EXPECT_EQ(stored_tokens(*again, line(1)), stored_tokens(*pool, line(1)));
  EXPECT_EQ(again->counters().blocks_set_aside, 0u);
}

TEST_F(EvictionTest, ManyLinesStayUnderTheCap) {
  PoolOptions small = capped(64);
  small.file_bytes = 20 * kBlockBytes;
  PowerCutCalls calls;  // makes no syncs
  auto pool = open_pool(small, calls);
  for (std::uint64_t i = 0; i < 30; ++i) {
    store_and_release(*pool, line(i));
    EXPECT_LE(disk_bytes(folder()), 64 * kBlockBytes);
    EXPECT_EQ(stored_tokens(*pool, line(i)), line(i).size()) << i;
    if (i % 7 == 6) pool = open_pool(small, calls);
  }
  EXPECT_LE(segments(folder()).size(), 12u) << "files without blocks go whole";
}

TEST_F(EvictionTest, BlocksInUseStayAndTheCapThenRefuses) {
  const auto pool = open_pool(capped(24));
  const auto records = write_line(*pool, fingerprint_, line(0));
  ASSERT_OK(records);
  ASSERT_OK(pool->commit(*records));
  const auto more = write_line(*pool, fingerprint_, test_tokens(9, 30 * kTestBlockTokens));
  ASSERT_FALSE(more.ok());
  EXPECT_EQ(more.error().kind, ErrorKind::out_of_budget);
  EXPECT_THAT(more.error().message, ::testing::HasSubstr("may be kept"));
  EXPECT_EQ(stored_tokens(*pool, line(0)), line(0).size());
}

TEST_F(EvictionTest, WhatMemoryHasNoRoomForGoesAboveTheCapAndIsGoneAfterTheRun) {
  {
    const auto pool = open_pool(capped(24));
    Digest parent = root_id();
    BlockPlace before;
    std::vector<BlockRecord> records;
    for (TokenId token = 0; token < 60; ++token) {
      const std::vector<TokenId> tokens(kTestBlockTokens, token);
      const Digest id = block_id(fingerprint_, 0, parent, tokens);
      const auto place = pool->place(kTestLayers, kTestPart, before, false, /*needed=*/true);
      ASSERT_OK(place);
      AlignedBytes bytes = test_payload(id);
      const auto checksums = pool->write(*place, bytes.data(), kTestPart);
      ASSERT_OK(checksums);
      records.push_back({id, parent, 0, tokens, *place, *checksums});
      before = *place;
      parent = id;
    }
    ASSERT_OK(pool->commit(records));
    EXPECT_GT(disk_bytes(folder()), 24 * kBlockBytes);
    for (const BlockRecord& record : records) pool->release(record.id);
  }
  EXPECT_LE(disk_bytes(folder()), 24 * kBlockBytes);
}

TEST_F(EvictionTest, AFileThatAnotherProcessReadsIsLeftAlone) {
  {
    store_and_release(*open_pool(options()), line(0));
  }
  const auto reader = open_pool(options());
  EXPECT_EQ(stored_tokens(*reader, line(0)), line(0).size());
  const auto freed = clear_stored(folder(), io::posix());
  ASSERT_OK(freed);
  EXPECT_EQ(freed->freed_bytes, 0u);
  EXPECT_EQ(freed->in_use_bytes, 10 * kBlockBytes);
  EXPECT_EQ(stored_tokens(*reader, line(0)), line(0).size());
}

TEST_F(EvictionTest, AFileThatIsAppendedToIsLeftAlone) {
  const auto writer = open_pool(options());
  store_and_release(*writer, line(0));
  ASSERT_OK(clear_stored(folder(), io::posix()));
  EXPECT_EQ(stored_tokens(*writer, line(0)), line(0).size());
}

TEST_F(EvictionTest, WhoKnewABlockBeforeItWasEvictedDoesNotFindIt) {
  auto writer = open_pool(options());
  store_and_release(*writer, line(0));
  store_and_release(*writer, line(1));
  writer.reset();
  const auto reader = open_pool(options());  // knows the blocks, has no file open
  EvictionGoal goal;
  goal.bytes = 10 * kBlockBytes;
  const auto evicted = evict(folder(), goal, 1 << 20, {}, io::posix());
  ASSERT_OK(evicted);
  EXPECT_EQ(evicted->blocks, 10u);
  EXPECT_EQ(stored_tokens(*reader, line(0)), 0u);
  EXPECT_EQ(stored_tokens(*reader, line(1)), line(1).size());
  EXPECT_EQ(reader->counters().blocks_set_aside, 0u);
}

TEST_F(EvictionTest, FilesOfOtherVersionsGoFirst) {
  const auto pool = open_pool(capped(24));
  store_and_release(*pool, line(0));
  const auto other = folder() / "00000000000000aa.kv";
  std::string page(4096, 'x');
  page.replace(0, 12, std::string("ollmkv/f\x07\0\0\0", 12));
  folder_.write(other, page + std::string(10 * kBlockBytes, 'y'));
  ::chmod(other.c_str(), 0600);
  ASSERT_OK(pool->refresh());
  EXPECT_TRUE(std::filesystem::exists(other)) << "it is not read, and nobody deletes it for that";
  const auto tokens = test_tokens(7, 2 * kTestBlockTokens);
  PoolOptions now = capped(22);
  const auto next = open_pool(now);
  store_and_release(*next, tokens);
  EXPECT_FALSE(std::filesystem::exists(other));
  EXPECT_EQ(stored_tokens(*next, line(0)), line(0).size());
}

TEST_F(EvictionTest, WhereNoHolesCanBeMadeWholeFilesGo) {
  io::FaultySystemCalls calls;
  PoolOptions small = capped(64);
  small.file_bytes = 24 * kBlockBytes;
  auto pool = open_pool(small, calls);
  calls.fail(Call::fallocate, 0, EOPNOTSUPP, Repeat::sticky);
  for (std::uint64_t i = 0; i < 5; ++i) store_and_release(*pool, line(i));
  pool.reset();
  pool = open_pool(small, calls);
  for (std::uint64_t i = 5; i < 20; ++i) {
    const auto records = write_line(*pool, fingerprint_, line(i));
    if (!records.ok()) {
      EXPECT_EQ(records.error().kind, ErrorKind::out_of_budget);
      pool = open_pool(small, calls);  // its files are its own no more
      continue;
    }
    ASSERT_OK(pool->commit(*records));
    EXPECT_EQ(stored_tokens(*pool, line(i)), line(i).size());
  }
  EXPECT_LE(disk_bytes(folder()), 64 * kBlockBytes);
  EXPECT_EQ(stored_tokens(*open_pool(small), line(0)), 0u);
}

TEST_F(EvictionTest, OnAFullDiskTheNoteIsWrittenIntoWhatWasEvicted) {
  auto pool = open_pool(options());
  store_and_release(*pool, line(0));
  store_and_release(*pool, line(1));
  pool.reset();
  io::FaultySystemCalls calls;
  EvictionGoal goal;
  goal.bytes = 4 * kBlockBytes;
  calls.fail(Call::pwrite, 0, ENOSPC);
  const auto evicted = evict(folder(), goal, 1 << 20, {}, calls);
  ASSERT_OK(evicted);
  EXPECT_EQ(evicted->blocks, 4u);
  pool = open_pool(options());
  EXPECT_EQ(stored_tokens(*pool, line(0)), 6 * kTestBlockTokens);
  EXPECT_EQ(pool->counters().blocks_set_aside, 0u);
}

TEST_F(EvictionTest, AnotherEvictionUnderWayIsNotWaitedForForever) {
  const auto pool = open_pool(options());
  const auto held = try_lock(folder() / kEvictionLock, 0, io::posix());
  ASSERT_TRUE(held.ok() && *held);
  const auto evicted = evict(folder(), {}, 1 << 20, {}, io::posix());
  ASSERT_OK(evicted);
  EXPECT_EQ(evicted->bytes, 0u);
}

TEST_F(EvictionTest, LittleMemoryEvictsAllTheSame) {
  auto pool = open_pool(options());
  for (std::uint64_t i = 0; i < 5; ++i) store_and_release(*pool, line(i));
  pool.reset();
  EvictionGoal goal;
  goal.bytes = 5 * kBlockBytes;
  const auto evicted = evict(folder(), goal, 20 * 160, {}, io::posix());
  ASSERT_OK(evicted);
  EXPECT_GE(evicted->bytes, 5 * kBlockBytes);
  pool = open_pool(options());
  EXPECT_EQ(stored_tokens(*pool, line(4)), line(4).size());
}

}  // namespace
}  // namespace ollm::kv
