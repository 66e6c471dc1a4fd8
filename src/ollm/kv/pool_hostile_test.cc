// Files in the folder that are not what was written, or not ours: right blocks or none, and nothing
// that is not ours is touched.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "ollm/base/forbidden_calls.h"
#include "ollm/io/faulty_system_calls.h"
#include "ollm/kv/pool_folder.h"
#include "ollm/kv/power_cut_calls.h"
#include "ollm/kv/record.h"
#include "ollm/kv/segment_folder.h"

namespace ollm::kv {
namespace {

using Call = io::FaultySystemCalls::Call;
using Repeat = io::FaultySystemCalls::Repeat;

std::string content_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

class PoolHostile : public PoolFolderTest {
 protected:
  void store() {
    const auto pool = open_pool(options());
    ASSERT_OK(store_line(*pool, fingerprint_, line_));
  }
  std::filesystem::path only_segment() const { return segments(folder()).front(); }
  std::filesystem::path write(std::uint64_t number, std::string_view content) const {
    const auto path = folder_.write(segment_path(folder(), number), content);
    ::chmod(path.c_str(), 0600);
    return path;
  }
  // A file with a header of its own number, and these items behind it.
  std::filesystem::path write_items(std::uint64_t number,
                                    const std::vector<std::vector<std::byte>>& items) const {
    const Page header = encode_file_header(number);
    std::string content(reinterpret_cast<const char*>(header.data()), header.size());
    for (const auto& item : items)
      content.append(reinterpret_cast<const char*>(item.data()), item.size());
    return write(number, content);
  }
  std::size_t found(const PoolOptions& with) const {
    return stored_tokens(*open_pool(with), line_);
  }
};

TEST_F(PoolHostile, ABitFlippedAnywhereGivesRightBlocksOrNone) {
  store();
  const auto path = only_segment();
  const std::string whole = content_of(path);
  std::mt19937_64 random(1);
  std::size_t fewer = 0;
  for (int i = 0; i < 1000; ++i) {
    // Half of them in pages that are no payload, of which there are fewer.
    std::uint64_t at = random() % whole.size();
    if (i % 2 == 0) at = (random() % 2 == 0 ? 0 : whole.size() - 2 * 4096) + random() % 4096;
    const char flipped = static_cast<char>(whole[at] ^ (1 << (random() % 8)));
    overwrite(path, at, std::string_view(&flipped, 1));
    PowerCutCalls calls;  // makes no syncs
    auto pool = open_pool(options(), calls);
    const std::size_t tokens = stored_tokens(*pool, line_);  // ends the test at a wrong byte
    fewer += tokens < line_.size() ? 1 : 0;
    pool.reset();  // notes what it set aside
    for (const auto& other : segments(folder()))
      if (other != path) std::filesystem::remove(other);
    folder_.write(path, whole);
    ::chmod(path.c_str(), 0600);
  }
  EXPECT_GT(fewer, 500u);
}

TEST_F(PoolHostile, AFileCutAnywhereGivesRightBlocksOrNone) {
  store();
  const auto path = only_segment();
  const std::string whole = content_of(path);
  for (std::uint64_t size = 0; size <= whole.size(); size += 1024) {
    std::filesystem::resize_file(path, size);
    PowerCutCalls calls;
    auto pool = open_pool(options(), calls);
    stored_tokens(*pool, line_);
    pool.reset();
    folder_.write(path, whole);
  }
  EXPECT_EQ(found(options()), line_.size());
}

TEST_F(PoolHostile, ADamagedItemHidesNoneBehindIt) {
  auto pool = open_pool(options());
  ASSERT_OK(store_line(*pool, fingerprint_, line_));
  const std::uint64_t end = std::filesystem::file_size(only_segment());
  const auto second = test_tokens(2, 40);
  ASSERT_OK(store_line(*pool, fingerprint_, second));
  pool.reset();
  overwrite(only_segment(), end - 4096 + 16, "damaged");  // the first commit's header
  pool = open_pool(options());
  EXPECT_EQ(stored_tokens(*pool, line_), 0u);
  EXPECT_EQ(stored_tokens(*pool, second), second.size());
}

TEST_F(PoolHostile, TransfersThatAreTornAndInterruptedAreCompleted) {
  io::FaultySystemCalls calls;
  calls.tear_transfers(3);
  calls.interrupt_transfers(4, 3);
  const auto pool = open_pool(options(), calls);
  ASSERT_OK(store_line(*pool, fingerprint_, line_));
  EXPECT_EQ(stored_tokens(*pool, line_), line_.size());
  EXPECT_EQ(stored_tokens(*open_pool(options(), calls), line_), line_.size());
}

TEST_F(PoolHostile, BlocksInEachOthersPlacesAreRefused) {
  const auto pool = open_pool(options());
  const auto tokens = test_tokens(3, 16 * kTestBlockTokens);
  const auto records = write_line(*pool, fingerprint_, tokens);
  ASSERT_OK(records);
  ASSERT_OK(pool->commit(*records));
  const auto read = [](const BlockRecord& record) {
    AlignedBytes bytes(kTestPart);
    EXPECT_TRUE(record.place.file->read_at(record.place.offset, bytes.all()).ok());
    return bytes;
  };
  for (const BlockRecord& one : *records) {
    for (const BlockRecord& other : *records) {
      AlignedBytes bytes = read(other);
      EXPECT_EQ(Pool::holds(one.place, 0, one.checksums[0], bytes.data()), &one == &other);
      EXPECT_FALSE(Pool::holds(one.place, 1, one.checksums[0], bytes.data()));
    }
  }
}

TEST_F(PoolHostile, OtherVersionsAreNeitherReadNorTouched) {
  store();
  const std::string whole = content_of(only_segment());
  std::filesystem::remove(only_segment());
  for (const char version : {'\0', '\2', '\xff'}) {
    std::string other = whole;
    other[8] = version;
    const auto path = write(7, other);
    const auto pool = open_pool(options());
    EXPECT_EQ(stored_tokens(*pool, line_), 0u);
    ASSERT_OK(store_line(*pool, fingerprint_, test_tokens(2, 20)));
    EXPECT_EQ(content_of(path), other);
  }
}

TEST_F(PoolHostile, AFileUnderAnotherNumberIsNotRead) {
  store();
  std::filesystem::rename(only_segment(), segment_path(folder(), 7));
  EXPECT_EQ(found(options()), 0u);
}

TEST_F(PoolHostile, LinksFilesThatOthersMayWriteAndFilesOfOthersAreNotRead) {
  store();
  const auto path = only_segment();
  const auto elsewhere = folder_.path() / "elsewhere";
  std::filesystem::rename(path, elsewhere);
  std::filesystem::create_symlink(elsewhere, path);
  EXPECT_EQ(found(options()), 0u) << "a link";
  std::filesystem::remove(path);
  std::filesystem::create_hard_link(elsewhere, path);
  EXPECT_EQ(found(options()), 0u) << "a file with two names";
  std::filesystem::remove(elsewhere);
  EXPECT_EQ(found(options()), line_.size());
  ::chmod(path.c_str(), 0620);
  EXPECT_EQ(found(options()), 0u) << "its group may write to it";
  ::chmod(path.c_str(), 0600);
  if (::geteuid() == 0) {
    ASSERT_EQ(::chown(path.c_str(), 12345, 12345), 0);
    EXPECT_EQ(found(options()), 0u) << "another user's";
    ASSERT_EQ(::chown(path.c_str(), 0, 0), 0);
  }
  EXPECT_EQ(found(options()), line_.size());
}

TEST_F(PoolHostile, ForeignFilesAreLeftAlone) {
  store();
  for (const char* name : {"notes.txt", "x.kv", "0123456789ABCDEF.kv", "00000000000000001.kv"})
    folder_.write(folder() / name, "somebody's own");
  std::filesystem::create_directory(segment_path(folder(), 1));
  ASSERT_EQ(::mkfifo(segment_path(folder(), 2).c_str(), 0600), 0);
  write(3, "");
  write(4, "short");
  write(5, std::string(100000, 'x'));
  auto pool = open_pool(options());
  EXPECT_EQ(stored_tokens(*pool, line_), line_.size());
  const auto more = test_tokens(2, 40);
  ASSERT_OK(store_line(*pool, fingerprint_, more));
  pool.reset();
  EXPECT_EQ(content_of(folder() / "notes.txt"), "somebody's own");
  EXPECT_EQ(content_of(segment_path(folder(), 4)), "short");
}

// The checksums hold, so that only what is possible stands between a number and what is made of it.
TEST_F(PoolHostile, NumbersThatCannotBeAreNotBelieved) {
  const auto tokens = std::vector<TokenId>(line_.begin(), line_.begin() + 8);
  BlockRecord record{
      .id = block_id(fingerprint_, 0, root_id(), tokens),
      .parent = root_id(),
      .group = 0,
      .tokens = tokens,
      .place = {.file_number = 1, .offset = 4096, .stride = 4096, .part_bytes = 4096, .layers = 1},
      .checksums = {{}}};
  struct Case {
    const char* what;
    std::uint64_t offset, stride;
    std::uint32_t part_bytes, layers;
  };
  constexpr std::uint64_t kHuge = std::uint64_t{1} << 63;
  for (const Case& wrong :
       {Case{"before the file", 0, 4096, 4096, 1}, Case{"behind its record", 8192, 4096, 4096, 1},
        Case{"no whole page", 4097, 4096, 4096, 1},
        Case{"parts that are no pages", 4096, 4096, 100, 1}, Case{"no bytes", 4096, 4096, 0, 1},
        Case{"parts in each other", 4096, 0, 4096, 2},
        Case{"a stride past all", 4096, kHuge, 4096, 2},
        Case{"an offset past all", kHuge, 4096, 4096, 1},
        Case{"a sum past all", kHuge, kHuge, 4096, 2}, Case{"no layer", 4096, 4096, 4096, 0}}) {
    record.place.offset = wrong.offset;
    record.place.stride = wrong.stride;
    record.place.part_bytes = wrong.part_bytes;
    record.place.layers = wrong.layers;
    record.checksums.assign(wrong.layers, {});
    std::filesystem::remove_all(folder());
    {
      open_pool(options());
    }
    write_items(1, {encode_commit(1, 4096, {.sequence = 1}, fingerprint_, {{record}})});
    EXPECT_FALSE(open_pool(options())->match(0, root_id(), tokens)) << wrong.what;
  }
}

TEST_F(PoolHostile, AHugeStripeCommitOrSequenceIsPassedOver) {
  {
    open_pool(options());
  }
  const std::vector<std::byte> stripe = encode_stripe(1, 4096, 4096, 1u << 27, 2);
  std::vector<std::byte> commit = encode_commit(2, 4096, {.sequence = 1}, fingerprint_, {});
  const std::uint64_t huge = ~std::uint64_t{0} / 2 / 4096 * 4096;
  write_items(1, {stripe});
  for (const std::size_t at : {24u, 36u, 40u, 56u}) {  // bytes, count, sequence, body
    std::vector<std::byte> wrong = commit;
    std::memcpy(wrong.data() + at, &huge, sizeof huge);
    seal_item_header(wrong);
    write_items(2, {wrong});
    const auto pool = open_pool(options());
    ASSERT_OK(store_line(*pool, fingerprint_, line_));
    EXPECT_EQ(stored_tokens(*pool, line_), line_.size());
  }
}

TEST_F(PoolHostile, AReadOnlyFolderIsReadAndNotWritten) {
  store();
  io::FaultySystemCalls calls;
  const auto pool = open_pool(options(), calls);
  EXPECT_EQ(stored_tokens(*pool, line_), line_.size());
  calls.fail(Call::open, 0, EROFS, Repeat::sticky);
  const auto more = write_line(*pool, fingerprint_, test_tokens(2, 20));
  ASSERT_FALSE(more.ok());
  EXPECT_EQ(more.error().kind, ErrorKind::io);
  EXPECT_THAT(more.error().message, ::testing::HasSubstr("Read-only file system"));
  EXPECT_EQ(stored_tokens(*pool, line_), line_.size());
}

TEST_F(PoolHostile, AFolderThatVanishesIsAnErrorAndBlocksThatWereFoundStay) {
  const auto pool = open_pool(options());
  ASSERT_OK(store_line(*pool, fingerprint_, line_));
  std::filesystem::remove_all(folder());
  EXPECT_FALSE(pool->refresh().ok());
  EXPECT_EQ(stored_tokens(*pool, line_), line_.size()) << "its file is open";
}

TEST_F(PoolHostile, AFolderThatOthersMayWriteToIsRefused) {
  store();
  ::chmod(folder().c_str(), 0777);
  const auto pool = Pool::open(options(), io::posix());
  ASSERT_FALSE(pool.ok());
  EXPECT_EQ(pool.error().kind, ErrorKind::invalid_argument);
}

TEST_F(PoolHostile, ASyncThatFailsEndsTheFileAndKeepsWhatItCommitted) {
  for (const std::uint64_t k : {0u, 1u}) {  // of the blocks, of the commit
    std::filesystem::remove_all(folder());
    io::FaultySystemCalls calls;
    auto pool = open_pool(options(), calls);
    ASSERT_OK(store_line(*pool, fingerprint_, line_));
    const auto more = test_tokens(2, 40);
    calls.fail(Call::fdatasync, k, EIO);
    EXPECT_EQ(store_line(*pool, fingerprint_, more).error().kind, ErrorKind::io);
    EXPECT_EQ(stored_tokens(*pool, more), 0u);
    EXPECT_EQ(stored_tokens(*open_pool(options()), more), 0u) << "nor does anybody else find it";
    const std::string before = content_of(only_segment());
    ASSERT_OK(store_line(*pool, fingerprint_, more));
    EXPECT_EQ(segments(folder()).size(), 2u) << "another file";
    EXPECT_EQ(stored_tokens(*pool, more), more.size());
    EXPECT_EQ(stored_tokens(*pool, line_), line_.size());
  }
}

TEST_F(PoolHostile, ASmallTmpfsThatIsFullIsOutOfBudgetAndUsableWhenThereIsSpace) {
  if (::geteuid() != 0) GTEST_SKIP() << "skipped: only root can mount a tmpfs";
  const auto small = folder_.path() / "small";
  std::filesystem::create_directory(small);
  if (::mount("tmpfs", small.c_str(), "tmpfs", 0, "size=1m,mode=0700") != 0)
    GTEST_SKIP() << "skipped: mounting is not allowed here";
  PoolOptions on_tmpfs = options_in(small);
  {
    const auto pool = open_pool(on_tmpfs);
    const auto first = test_tokens(1, 50 * kTestBlockTokens);
    ASSERT_OK(store_line(*pool, fingerprint_, first));
    const auto second = write_line(*pool, fingerprint_, test_tokens(2, 200 * kTestBlockTokens));
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().kind, ErrorKind::out_of_budget) << second.error().message;
    EXPECT_EQ(stored_tokens(*pool, first), first.size());
    const auto third = test_tokens(3, 10 * kTestBlockTokens);
    ASSERT_OK(store_line(*pool, fingerprint_, third));
    EXPECT_EQ(stored_tokens(*pool, third), third.size());
  }
  EXPECT_EQ(::umount2(small.c_str(), MNT_DETACH), 0);
}

TEST_F(PoolHostile, WithoutDirectAccessBlocksAreReadThroughThePageCache) {
  io::FaultySystemCalls calls;
  calls.refuse_direct_reads();
  PoolOptions direct = options();
  direct.access = io::Access::direct;
  const auto pool = open_pool(direct, calls);
  ASSERT_OK(store_line(*pool, fingerprint_, line_));
  EXPECT_EQ(stored_tokens(*pool, line_), line_.size());
  EXPECT_EQ(pool->match(0, root_id(), line_)->record.place.file->access(), io::Access::buffered);
}

TEST_F(PoolHostile, TheIndexTakesNoMoreThanItsMemory) {
  PoolOptions little = options();
  little.index_bytes = 4096;
  const auto pool = open_pool(little);
  const auto tokens = test_tokens(4, 40 * kTestBlockTokens);
  ASSERT_OK(store_line(*pool, fingerprint_, tokens));
  EXPECT_LT(stored_tokens(*pool, tokens), tokens.size());
  EXPECT_GT(stored_tokens(*pool, tokens), 0u);
  EXPECT_EQ(stored_tokens(*open_pool(options()), tokens), tokens.size());
}

}  // namespace
}  // namespace ollm::kv
