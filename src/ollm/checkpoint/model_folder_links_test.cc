// Links in a model's folder: into the cache, to other disks, to nowhere.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "ollm/checkpoint/model_folder_fixture.h"

namespace ollm::checkpoint {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Weights on another disk, DVC, Nix, `--local-dir` of older hub clients.
TEST_F(ModelFolderTest, LinksOutOfTheFolderAreFollowedAndTold) {
  const io::TemporaryFolder elsewhere;
  const auto move_out = [&](const char* name, const char* there) {
    const auto to = elsewhere.path() / there;
    std::filesystem::create_directories(to.parent_path());
    std::filesystem::rename(folder_.path() / name, to);
    std::filesystem::create_symlink(to, folder_.path() / name);
  };
  write_shards();
  write("generation_config.json", R"({"eos_token_id":7})");
  write("tokenizer.json", "{}");
  move_out("config.json", "cache/00");
  move_out("generation_config.json", "cache/01");
  move_out("tokenizer.json", "cache/02");
  move_out("model.safetensors.index.json", "cache/03");
  move_out("model-1.safetensors", "cache/04");
  {
    const auto folder = open();
    ASSERT_TRUE(folder.ok()) << folder.error().message;
    EXPECT_THAT(folder->generation_config().eos_token_ids, ElementsAre(7));
    EXPECT_EQ(*folder->read_text("tokenizer.json"), "{}");
    ASSERT_EQ(folder->notes().size(), 1u);
    EXPECT_EQ(folder->notes()[0].what, "folder.links");
    EXPECT_EQ(folder->notes()[0].chosen, "followed");
    const std::string real = std::filesystem::canonical(elsewhere.path()).string();
    EXPECT_THAT(
        folder->notes()[0].because,
        AllOf(HasSubstr("tokenizer.json to " + real + "/cache/02"), HasSubstr("and 2 more")));
    // What the link leads to is what is in use.
    const auto target = elsewhere.path() / "cache/04";
    std::filesystem::last_write_time(
        target, std::filesystem::last_write_time(target) + std::chrono::seconds(5));
    EXPECT_THAT(folder->check_unchanged().error().message, HasSubstr("it was written to"));
  }
  // Another file under the link's end is another file.
  const auto folder = open();
  ASSERT_TRUE(folder.ok());
  std::filesystem::rename(elsewhere.path() / "cache/04", elsewhere.path() / "cache/old");
  elsewhere.write("cache/04", weights({"a"}));
  EXPECT_THAT(folder->check_unchanged().error().message, HasSubstr("another file was put"));
}

TEST_F(ModelFolderTest, ChainsOfLinksAreFollowed) {
  const io::TemporaryFolder elsewhere;
  elsewhere.write("deep/weights", weights({"a"}));
  const auto there = std::filesystem::canonical(elsewhere.path());
  std::filesystem::create_symlink("deep/weights", there / "relative");
  std::filesystem::create_symlink(there / "relative", folder_.path() / "absolute");
  std::filesystem::create_symlink("absolute", folder_.path() / "model.safetensors");
  const auto folder = open();
  ASSERT_TRUE(folder.ok()) << folder.error().message;
  ASSERT_EQ(folder->notes().size(), 1u);
  EXPECT_THAT(folder->notes()[0].because,
              HasSubstr("model.safetensors to " + (there / "deep/weights").string()));
}

TEST_F(ModelFolderTest, LinksThatEndAtNoRegularFileAreRefusedByName) {
  const auto link = folder_.path() / "model.safetensors";
  std::filesystem::create_symlink("/dev/null", link);
  expect_refused(ErrorKind::invalid_argument,
                 AllOf(HasSubstr("model.safetensors"), HasSubstr("is a device")));
  std::filesystem::remove(link);
  std::filesystem::create_symlink("/", link);
  expect_refused(ErrorKind::invalid_argument, HasSubstr("is a directory"));
  std::filesystem::remove(link);
  std::filesystem::create_symlink("model.safetensors", link);
  expect_refused(ErrorKind::corrupt,
                 AllOf(HasSubstr("model.safetensors: is a link that leads back to itself")));
  std::filesystem::remove(link);
  write_shards();
  std::filesystem::remove(folder_.path() / "model-2.safetensors");
  std::filesystem::create_symlink("nowhere", folder_.path() / "model-2.safetensors");
  expect_refused(ErrorKind::not_found,
                 AllOf(HasSubstr("model-2.safetensors: is a link to a file that is not there")));
}

// A neighbour whose name begins alike is outside.
TEST_F(ModelFolderTest, ALinkIntoASiblingWithTheSameBeginningLeavesTheFolder) {
  const auto sibling = folder_.path().string() + "-other";
  std::filesystem::create_directory(sibling);
  write("model.safetensors", weights({"a"}));
  std::filesystem::rename(folder_.path() / "model.safetensors", sibling + "/x");
  std::filesystem::create_symlink(sibling + "/x", folder_.path() / "model.safetensors");
  const auto folder = open();
  ASSERT_TRUE(folder.ok()) << folder.error().message;
  EXPECT_EQ(folder->notes().size(), 1u);
  std::filesystem::remove_all(sibling);
}

TEST_F(ModelFolderTest, LinksInsideTheFolderAndAFolderThatIsALinkAreFollowed) {
  write("files/real", weights({"a"}));
  std::filesystem::create_symlink("files/real", folder_.path() / "model.safetensors");
  EXPECT_TRUE(open()->notes().empty());
  const io::TemporaryFolder elsewhere;
  const auto link = elsewhere.path() / "model";
  std::filesystem::create_directory_symlink(folder_.path(), link);
  const auto folder = ModelFolder::open(link);
  ASSERT_TRUE(folder.ok()) << folder.error().message;
  EXPECT_EQ(folder->path(), link);
  EXPECT_EQ(folder->canonical_path(), std::filesystem::canonical(folder_.path()));
  EXPECT_TRUE(folder->notes().empty());
}

TEST_F(ModelFolderTest, ALinkThatLeadsNowhereIsNotFound) {
  std::filesystem::create_symlink("blob", folder_.path() / "model.safetensors");
  expect_refused(ErrorKind::not_found, HasSubstr("a link to a file that is not there"));
}

class HubCache : public ::testing::Test {
 protected:
  HubCache() {
    cache_.write(model_ + "/blobs/aaaa", R"({"model_type":"llama"})");
    cache_.write(model_ + "/blobs/bbbb", weights({"a"}));
    cache_.write("secret", weights({"a"}));
    std::filesystem::create_directories(snapshot_);
    link("config.json", "../../blobs/aaaa");
  }
  void link(const char* name, const char* target) {
    std::filesystem::remove(snapshot_ / name);
    std::filesystem::create_symlink(target, snapshot_ / name);
  }
  const io::TemporaryFolder cache_;
  const std::string model_ = "hub/models--org--name";
  const std::filesystem::path snapshot_ = cache_.path() / model_ / "snapshots" / "0123abcd";
};

TEST_F(HubCache, LinksIntoTheBlobsOfTheModelAreFollowed) {
  link("model.safetensors", "../../blobs/bbbb");
  const auto folder = ModelFolder::open(snapshot_);
  ASSERT_TRUE(folder.ok()) << folder.error().message;
  EXPECT_EQ(folder->tensors().tensors().size(), 1u);
  EXPECT_TRUE(folder->notes().empty());
}

TEST_F(HubCache, LinksOutOfTheModelAreCorrupt) {
  for (const char* target : {"../../../../secret", "../../../models--other--one/blobs/cccc"}) {
    cache_.write("hub/models--other--one/blobs/cccc", weights({"a"}));
    link("model.safetensors", target);
    const auto folder = ModelFolder::open(snapshot_);
    ASSERT_FALSE(folder.ok()) << target;
    EXPECT_EQ(folder.error().kind, ErrorKind::corrupt);
    EXPECT_THAT(folder.error().message, HasSubstr("models--org--name"));
  }
}

TEST_F(HubCache, ABlobThatIsNotDownloadedIsNotFound) {
  link("model.safetensors", "../../blobs/dddd");
  EXPECT_EQ(ModelFolder::open(snapshot_).error().kind, ErrorKind::not_found);
}

}  // namespace
}  // namespace ollm::checkpoint
