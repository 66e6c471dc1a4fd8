#include "ollm/hub/cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ollm/io/system_calls.h"
#include "ollm/io/temporary_folder.h"

namespace ollm::hub {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr const char* kCommit = "0123456789abcdef0123456789abcdef01234567";
constexpr const char* kOther = "89abcdef0123456789abcdef0123456789abcdef";

class HubCache : public ::testing::Test {
 protected:
  HubCache() : root_(fs::canonical(folder_.path())), cache_(root_ / "hub") {
    fs::create_directories(cache_);
  }
  fs::path repository() const { return cache_ / "models--org--name"; }
  void ref(const std::string& name, std::string_view text) {
    folder_.write(fs::path("hub/models--org--name/refs") / name, text);
  }
  void snapshot(const std::string& commit) {
    fs::create_directories(repository() / "snapshots" / commit);
  }
  Result<std::optional<Snapshot>> find(std::optional<std::string> revision = std::nullopt,
                                       std::string_view repo = "org/name") {
    return find_snapshot(cache_, repo, revision, io::posix());
  }
  void expect_found(std::optional<std::string> revision, const std::string& commit) {
    const auto found = find(std::move(revision));
    ASSERT_TRUE(found.ok()) << found.error().message;
    ASSERT_TRUE(found->has_value());
    EXPECT_EQ((*found)->commit, commit);
    EXPECT_EQ((*found)->path, repository() / "snapshots" / commit);
  }
  void expect_absent(std::optional<std::string> revision = std::nullopt) {
    const auto found = find(std::move(revision));
    ASSERT_TRUE(found.ok()) << found.error().message;
    EXPECT_FALSE(found->has_value());
  }
  void expect_error(ErrorKind kind, std::string_view words,
                    std::optional<std::string> revision = std::nullopt) {
    const auto found = find(std::move(revision));
    ASSERT_FALSE(found.ok());
    EXPECT_EQ(found.error().kind, kind);
    EXPECT_THAT(found.error().message, HasSubstr(words));
  }

  io::TemporaryFolder folder_;
  fs::path root_;
  fs::path cache_;
};

TEST_F(HubCache, MainIsTheRevisionWithoutOne) {
  ref("main", kCommit);
  snapshot(kCommit);
  expect_found(std::nullopt, kCommit);
  expect_found("main", kCommit);
}

TEST_F(HubCache, BranchesTagsAndPullRequestsAreRefs) {
  ref("v1.0", std::string(kCommit) + "\n");
  ref("refs/pr/1", kOther);
  snapshot(kCommit);
  snapshot(kOther);
  expect_found("v1.0", kCommit);
  expect_found("refs/pr/1", kOther);
  expect_absent("refs/pr");
  expect_absent("v2.0");
}

TEST_F(HubCache, ACommitNeedsNoRef) {
  snapshot(kCommit);
  expect_found(kCommit, kCommit);
  expect_absent(kOther);
  expect_absent();
}

TEST_F(HubCache, ARefWithoutItsSnapshotIsAbsent) {
  ref("main", kCommit);
  expect_absent();
}

TEST_F(HubCache, ACacheThatIsNotThereHasNothing) {
  fs::remove_all(cache_);
  expect_absent();
}

TEST_F(HubCache, ARefThatHoldsNoCommitIsCorrupt) {
  for (const char* text :
       {"", "main", "../../../../etc", "0123456789ABCDEF0123456789ABCDEF01234567",
        "0123456789abcdef0123456789abcdef0123456"}) {
    ref("main", text);
    expect_error(ErrorKind::corrupt, "expected a commit");
  }
}

TEST_F(HubCache, NoRevisionLeadsOutside) {
  folder_.write("secret/main", kCommit);
  ref("main", kCommit);
  snapshot(kCommit);
  for (const char* revision :
       {"../main", "..", ".", "", "a//b", "/main", "a/../main", "a\nb", "..\\x", "a/"})
    expect_error(ErrorKind::invalid_argument, "cannot be a revision", revision);
}

TEST_F(HubCache, NoLinkLeadsOutside) {
  fs::create_directories(root_ / "outside/snapshots" / kCommit);
  folder_.write("outside/refs/main", kCommit);

  fs::create_directories(repository() / "snapshots");
  fs::create_directory_symlink(root_ / "outside/refs", repository() / "refs");
  expect_error(ErrorKind::corrupt, "outside of");
  fs::remove(repository() / "refs");

  ref("main", kCommit);
  fs::create_directory_symlink(root_ / "outside/snapshots" / kCommit,
                               repository() / "snapshots" / kCommit);
  expect_error(ErrorKind::corrupt, "outside of");
}

// Models moved to another disk: the hub's client makes no links at this place, people do.
TEST_F(HubCache, TheFolderOfARepositoryMayBeALink) {
  fs::create_directories(root_ / "other disk/model/snapshots" / kCommit);
  folder_.write("other disk/model/refs/main", kCommit);
  fs::create_directory_symlink(root_ / "other disk/model", repository());
  expect_found(std::nullopt, kCommit);
}

TEST_F(HubCache, ASnapshotOfAFolderIsThatOfMainElseTheOnlyOne) {
  auto found = snapshot_of_folder(repository(), io::posix());
  EXPECT_EQ(found.error().kind, ErrorKind::not_found);
  snapshot(kOther);
  found = snapshot_of_folder(repository(), io::posix());
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_EQ(found->commit, kOther);
  snapshot(kCommit);
  found = snapshot_of_folder(repository(), io::posix());
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.error().kind, ErrorKind::invalid_argument);
  EXPECT_THAT(found.error().message, HasSubstr("with 2 snapshots"));
  EXPECT_THAT(found.error().message, HasSubstr(std::string("snapshots/") + kCommit));
  ref("main", kOther);
  found = snapshot_of_folder(repository(), io::posix());
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_EQ(found->path, repository() / "snapshots" / kOther);
  ref("main", "no commit");
  EXPECT_EQ(snapshot_of_folder(repository(), io::posix()).error().kind, ErrorKind::corrupt);
}

TEST_F(HubCache, ARepositoryInAnotherCaseIsNamed) {
  snapshot(kCommit);
  EXPECT_EQ(cached_in_other_case(cache_, "Org/NAME", io::posix()), "org/name");
  EXPECT_EQ(cached_in_other_case(cache_, "org/name", io::posix()), std::nullopt);
  EXPECT_EQ(cached_in_other_case(root_ / "none", "Org/name", io::posix()), std::nullopt);
}

TEST_F(HubCache, ALinkThatGoesRoundIsCorrupt) {
  snapshot(kCommit);
  fs::create_directories(repository() / "refs");
  fs::create_symlink("main", repository() / "refs/main");
  expect_error(ErrorKind::corrupt, "refs/main");
}

TEST_F(HubCache, TheCacheItselfMayBeALink) {
  ref("main", kCommit);
  snapshot(kCommit);
  fs::create_directory_symlink(cache_, root_ / "link");
  const auto found = find_snapshot(root_ / "link", "org/name", std::nullopt, io::posix());
  ASSERT_TRUE(found.ok());
  ASSERT_TRUE(found->has_value());
}

TEST_F(HubCache, WhatCannotBeARepositoryIsRefused) {
  for (const char* repo :
       {"", "a/b/c", "../x", "a/..", "-a/b", "a/b-", "a--b", "a b", "a/", "/a"}) {
    EXPECT_FALSE(is_repository_id(repo)) << repo;
    const auto found = find(std::nullopt, repo);
    ASSERT_FALSE(found.ok());
    EXPECT_EQ(found.error().kind, ErrorKind::invalid_argument);
  }
  EXPECT_FALSE(is_repository_id(std::string(97, 'a')));
  for (const char* repo : {"gpt2", "org/name", "a/b.c_d-1"}) EXPECT_TRUE(is_repository_id(repo));
}

TEST(HubCacheFolder, IsFoundAsHuggingfaceHubFindsIt) {
  io::Environment environment{{}, "/somewhere"};
  EXPECT_EQ(cache_folder(environment), std::nullopt);
  environment.variables["HOME"] = "/home/a";
  EXPECT_EQ(cache_folder(environment), "/home/a/.cache/huggingface/hub");
  environment.variables["XDG_CACHE_HOME"] = "/xdg";
  EXPECT_EQ(cache_folder(environment), "/xdg/huggingface/hub");
  environment.variables["HF_HOME"] = "~/hf";
  EXPECT_EQ(cache_folder(environment), "/home/a/hf/hub");
  environment.variables["HUGGINGFACE_HUB_CACHE"] = "/old";
  EXPECT_EQ(cache_folder(environment), "/old");
  environment.variables["HF_HUB_CACHE"] = "/new";
  EXPECT_EQ(cache_folder(environment), "/new");
  environment.variables["HF_HUB_CACHE"] = "";
  EXPECT_EQ(cache_folder(environment), "/old");
}

}  // namespace
}  // namespace ollm::hub
