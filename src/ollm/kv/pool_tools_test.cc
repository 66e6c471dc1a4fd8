#include "ollm/kv/pool_tools.h"

#include <ctime>
#include <string>
#include <vector>

#include "ollm/kv/pool_folder.h"
#include "ollm/kv/segment_folder.h"

namespace ollm::kv {
namespace {

constexpr std::uint64_t kBlockBytes = std::uint64_t{kTestLayers} * kTestPart;

class PoolToolsTest : public PoolFolderTest {
 protected:
  void store(std::string_view model, std::uint64_t seed, std::size_t blocks) const {
    auto pool = Pool::open(options(), io::posix());
    ASSERT_OK(pool);
    ASSERT_OK((*pool)->set_fingerprint(test_fingerprint(model)));
    ASSERT_OK(
        store_line(**pool, test_fingerprint(model), test_tokens(seed, blocks * kTestBlockTokens)));
  }
  Result<VerifiedStore> verify() const {
    const CancellationToken never;
    return verify_stored(folder(), nullptr, never, io::posix());
  }
};

TEST_F(PoolToolsTest, ListsWhatIsStoredByFingerprint) {
  store("a", 1, 3);
  store("b", 2, 5);
  const auto list = list_stored(folder(), io::posix());
  ASSERT_OK(list);
  ASSERT_EQ(list->size(), 2u);
  const StoredEntry& b = (*list)[0].fingerprint == test_fingerprint("b") ? (*list)[0] : (*list)[1];
  EXPECT_EQ(b.blocks, 5u);
  EXPECT_EQ(b.tokens, 5 * kTestBlockTokens);
  EXPECT_EQ(b.bytes, 5 * kBlockBytes);
  EXPECT_LE(std::time(nullptr) - b.written_s, 60);
}

TEST_F(PoolToolsTest, FilesThatAreNotReadAreListedWithoutAFingerprint) {
  store("a", 1, 3);
  folder_.write(folder() / segment_name(1), std::string(8192, 'x'));
  ::chmod(segment_path(folder(), 1).c_str(), 0600);
  const auto list = list_stored(folder(), io::posix());
  ASSERT_OK(list);
  ASSERT_EQ(list->size(), 2u);
  EXPECT_FALSE((*list)[1].fingerprint);
  EXPECT_EQ((*list)[1].bytes, 8192u);
}

TEST_F(PoolToolsTest, VerifySetsAsideWhatIsNotWhatWasWritten) {
  const auto tokens = test_tokens(1, 10 * kTestBlockTokens);
  auto pool = open_pool(options());
  ASSERT_OK(store_line(*pool, fingerprint_, tokens));
  const auto second = pool->match(
      0, block_id(fingerprint_, 0, root_id(), std::span(tokens).first(kTestBlockTokens)),
      std::span(tokens).subspan(kTestBlockTokens));
  ASSERT_TRUE(second);
  overwrite(second->record.place.file->path(),
            second->record.place.offset + second->record.place.stride + 77, "x");
  std::uint64_t told = 0;
  const CancellationToken never;
  const auto found = verify_stored(
      folder(), [&](std::uint64_t done, std::uint64_t) { told = done; }, never, io::posix());
  ASSERT_OK(found);
  EXPECT_EQ(found->blocks, 10u);
  EXPECT_EQ(found->corrupt, 1u);
  EXPECT_EQ(told, 10 * kBlockBytes);
  EXPECT_EQ(segments(folder()).size(), 2u) << "noted beside a file that is appended to";
  const auto other = open_pool(options());
  EXPECT_EQ(stored_tokens(*other, tokens), kTestBlockTokens);
  EXPECT_EQ(other->counters().blocks_set_aside, 0u);
  const auto again = verify();
  ASSERT_OK(again);
  EXPECT_EQ(again->blocks, 9u);
  EXPECT_EQ(again->corrupt, 0u);
}

TEST_F(PoolToolsTest, VerifyNotesInTheFileItselfWhereNobodyAppendsToIt) {
  store("model", 1, 4);
  const auto path = segments(folder()).front();
  overwrite(path, 3 * 4096, "x");  // behind the file's header and the stripe's
  const auto found = verify();
  ASSERT_OK(found);
  EXPECT_EQ(found->corrupt, 1u);
  EXPECT_EQ(segments(folder()).size(), 1u);
  EXPECT_EQ(verify()->corrupt, 0u);
}

TEST_F(PoolToolsTest, VerifyStopsWhenItIsCancelled) {
  store("model", 1, 4);
  CancellationToken cancel;
  cancel.cancel();
  EXPECT_EQ(verify_stored(folder(), nullptr, cancel, io::posix()).error().kind,
            ErrorKind::cancelled);
}

TEST_F(PoolToolsTest, PrunesByModelByTimeAndBySize) {
  store("a", 1, 3);
  store("b", 2, 5);
  Pruning pruning;
  pruning.fingerprints = std::vector<Digest>{test_fingerprint("a")};
  EXPECT_EQ(prune_stored(folder(), pruning, io::posix())->freed_bytes, 3 * kBlockBytes);
  ASSERT_EQ(list_stored(folder(), io::posix())->size(), 1u);

  pruning = {};
  pruning.written_before_s = std::time(nullptr) - 60;
  EXPECT_EQ(prune_stored(folder(), pruning, io::posix())->freed_bytes, 0u);
  pruning.max_bytes = disk_bytes(folder()) - 2 * kBlockBytes;
  EXPECT_EQ(prune_stored(folder(), pruning, io::posix())->freed_bytes, 2 * kBlockBytes);
  pruning = {};
  pruning.written_before_s = std::time(nullptr) + 60;
  EXPECT_GE(prune_stored(folder(), pruning, io::posix())->freed_bytes, 3 * kBlockBytes);
  EXPECT_TRUE(list_stored(folder(), io::posix())->empty());
  EXPECT_TRUE(segments(folder()).empty());
}

TEST_F(PoolToolsTest, ClearLeavesNothingBehind) {
  store("a", 1, 3);
  folder_.write(folder() / segment_name(1), std::string(8192, 'x'));
  folder_.write(folder() / (segment_name(2) + ".tmp"), "");
  folder_.write(folder() / (segment_name(3) + ".lock"), "");
  ::chmod(segment_path(folder(), 1).c_str(), 0600);
  folder_.write(folder() / "notes.txt", "somebody's own");
  ASSERT_OK(clear_stored(folder(), io::posix()));
  std::vector<std::string> left;
  for (const auto& entry : std::filesystem::directory_iterator(folder()))
    left.push_back(entry.path().filename());
  EXPECT_THAT(left, ::testing::UnorderedElementsAre("evict.lock", "notes.txt"));
}

TEST_F(PoolToolsTest, AFolderThatIsNotThereIsNotFound) {
  EXPECT_EQ(list_stored(folder(), io::posix()).error().kind, ErrorKind::not_found);
  EXPECT_EQ(verify().error().kind, ErrorKind::not_found);
}

}  // namespace
}  // namespace ollm::kv
