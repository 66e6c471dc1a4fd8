#include "ollm/checkpoint/known_hashes.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <fstream>
#include <thread>
#include <utility>

#include "ollm/io/faulty_system_calls.h"
#include "ollm/io/temporary_folder.h"

namespace ollm::checkpoint {
namespace {

using Call = io::FaultySystemCalls::Call;

io::FileIdentity file(std::uint64_t inode) {
  return {
      .device = 7, .inode = inode, .size_bytes = 100, .mtime_ns = -5, .ctime_ns = 1'700'000'000};
}

KnownHashes some() {
  KnownHashes known;
  known.add(file(1), sha256("one"));
  known.add(file(2), sha256("two"));
  return known;
}

std::string content(const std::filesystem::path& path) {
  return io::read_whole_file(path, 1 << 20).value();
}

TEST(KnownHashes, ReadsWhatItWrote) {
  const KnownHashes known = KnownHashes::parse(some().text());
  ASSERT_EQ(known.size(), 2u);
  EXPECT_EQ(*known.find(file(1)), sha256("one"));
  EXPECT_EQ(*known.find(file(2)), sha256("two"));
  EXPECT_EQ(known.find(file(3)), nullptr);
  EXPECT_EQ(KnownHashes::parse(KnownHashes().text()).size(), 0u);
}

TEST(KnownHashes, EveryPartOfAnIdentityCounts) {
  const KnownHashes known = some();
  for (const auto& change :
       {+[](io::FileIdentity& f) { ++f.device; }, +[](io::FileIdentity& f) { ++f.inode; },
        +[](io::FileIdentity& f) { ++f.size_bytes; }, +[](io::FileIdentity& f) { ++f.mtime_ns; },
        +[](io::FileIdentity& f) { ++f.ctime_ns; }}) {
    io::FileIdentity other = file(2);
    change(other);
    EXPECT_EQ(known.find(other), nullptr);
  }
}

TEST(KnownHashes, AFileInAnotherStateTakesThePlaceOfItself) {
  KnownHashes known = some();
  io::FileIdentity written = file(1);
  written.mtime_ns = 6;
  known.add(written, sha256("three"));
  EXPECT_EQ(known.size(), 2u);
  EXPECT_EQ(known.find(file(1)), nullptr);
  EXPECT_EQ(*known.find(written), sha256("three"));
}

TEST(KnownHashes, WhatIsDamagedAnywhereIsNotKnown) {
  const std::string text = some().text();
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (const int bit : {0, 6}) {
      std::string damaged = text;
      damaged[i] = static_cast<char>(damaged[i] ^ (1 << bit));
      EXPECT_EQ(KnownHashes::parse(damaged).size(), 0u) << "byte " << i;
    }
    EXPECT_EQ(KnownHashes::parse(text.substr(0, i)).size(), 0u) << "cut at " << i;
  }
  EXPECT_EQ(KnownHashes::parse(text + "\n").size(), 0u);
}

TEST(KnownHashes, AnotherVersionAndOtherTextsAreNotKnown) {
  std::string lines = some().text();
  lines = "ollm content hashes 2" + lines.substr(lines.find('\n'));
  lines.resize(lines.size() - 65);
  EXPECT_EQ(KnownHashes::parse(lines + sha256(lines).hex() + "\n").size(), 0u);
  const std::string wrong = "ollm content hashes 1\n1 2 3 4\n";
  EXPECT_EQ(KnownHashes::parse(wrong + sha256(wrong).hex() + "\n").size(), 0u);
}

TEST(KnownHashes, TheFirstAreForgottenAboveTheLimit) {
  KnownHashes known;
  for (std::uint64_t i = 0; i <= KnownHashes::kMaxEntries; ++i) known.add(file(i), sha256("x"));
  EXPECT_EQ(known.size(), KnownHashes::kMaxEntries);
  EXPECT_EQ(known.find(file(0)), nullptr);
  EXPECT_NE(known.find(file(KnownHashes::kMaxEntries)), nullptr);
  EXPECT_EQ(KnownHashes::parse(known.text()).size(), KnownHashes::kMaxEntries);
}

TEST(KnownHashes, TheFileIsForItsUserAlone) {
  const io::TemporaryFolder folder;
  const auto path = folder.path() / "content_hashes";
  ASSERT_TRUE(KnownHashes::remember(path, file(1), sha256("one"), io::posix()).ok());
  using std::filesystem::perms;
  EXPECT_EQ(std::filesystem::status(path).permissions(), perms::owner_read | perms::owner_write);
  EXPECT_EQ(KnownHashes::read(path, io::posix()).size(), 1u);

  std::filesystem::permissions(path, perms(0620));
  EXPECT_EQ(KnownHashes::read(path, io::posix()).size(), 0u) << "others may write to it";
  std::filesystem::permissions(path, perms(0600));
  const auto link = folder.path() / "link";
  std::filesystem::create_symlink(path, link);
  EXPECT_EQ(KnownHashes::read(link, io::posix()).size(), 0u) << "a link";
}

TEST(KnownHashes, WhatOthersWroteMeanwhileStays) {
  const io::TemporaryFolder folder;
  const auto path = folder.path() / "content_hashes";
  ASSERT_TRUE(KnownHashes::remember(path, file(1), sha256("one"), io::posix()).ok());
  ASSERT_TRUE(KnownHashes::remember(path, file(2), sha256("two"), io::posix()).ok());
  EXPECT_EQ(KnownHashes::read(path, io::posix()).text(), some().text());
}

TEST(KnownHashes, TwoWhoWriteAtOnceLeaveAWholeFile) {
  const io::TemporaryFolder folder;
  const auto path = folder.path() / "content_hashes";
  std::thread other([&] {
    for (std::uint64_t i = 0; i < 50; ++i)
      EXPECT_TRUE(KnownHashes::remember(path, file(i), sha256("a"), io::posix()).ok());
  });
  for (std::uint64_t i = 100; i < 150; ++i) {
    EXPECT_TRUE(KnownHashes::remember(path, file(i), sha256("b"), io::posix()).ok());
    const std::string text = content(path);
    EXPECT_EQ(KnownHashes::parse(text).text(), text);
  }
  other.join();
}

TEST(KnownHashes, AFailedWriteLeavesWhatWasThere) {
  const io::TemporaryFolder folder;
  const auto path = folder.path() / "content_hashes";
  ASSERT_TRUE(KnownHashes::remember(path, file(1), sha256("one"), io::posix()).ok());
  const std::string before = content(path);
  io::FaultySystemCalls calls;
  calls.fail(Call::pwrite, 0, ENOSPC);
  EXPECT_FALSE(KnownHashes::remember(path, file(2), sha256("two"), calls).ok());
  EXPECT_EQ(content(path), before);
  EXPECT_EQ(calls.open_files(), 0u);
}

TEST(KnownHashes, AChangeWithinATickIsNotSettled) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  io::FileIdentity fine = file(1);
  fine.ctime_ns = 100 * kSecond + 1;
  EXPECT_FALSE(is_settled(fine, fine.ctime_ns + 10'000'000));
  EXPECT_TRUE(is_settled(fine, fine.ctime_ns + kSecond / 10));
  EXPECT_FALSE(is_settled(fine, fine.ctime_ns - kSecond)) << "of a clock that was set back";
  io::FileIdentity coarse = file(1);
  coarse.ctime_ns = 100 * kSecond;
  EXPECT_FALSE(is_settled(coarse, coarse.ctime_ns + kSecond));
  EXPECT_TRUE(is_settled(coarse, coarse.ctime_ns + 3 * kSecond));
}

}  // namespace
}  // namespace ollm::checkpoint
