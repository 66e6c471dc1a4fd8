// Where logits may go, through the library's call: never in the place of the model, of a device or
// of a link.
#include "ollm/runtime/logits_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "ollm/base/thread.h"
#include "ollm/io/temporary_folder.h"
#include "ollm/ollm.h"

namespace ollm::runtime {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

std::string content_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class LogitsFileTest : public ::testing::Test {
 protected:
  LogitsFileTest() {
    // The text of the model is not needed; its weights are the file that must not be harmed.
    model_ = folder_.path() / "model";
    fs::create_directories(model_ / "blobs");
    for (const char* name : {"config.json", "tokenizer.json"})
      fs::copy_file(fs::path("examples/models/clerk") / name, model_ / name);
    fs::copy_file("examples/models/clerk/model.safetensors", model_ / "model.safetensors");
    Settings settings;
    settings.runtime.model_reference = model_.string();
    auto plan = make_plan(settings, {.sequences = 2, .all_logits = true, .context_tokens = 64});
    EXPECT_TRUE(plan.ok()) << plan.error().message;
    auto runtime = Runtime::load(*plan);
    EXPECT_TRUE(runtime.ok()) << runtime.error().message;
    runtime_.emplace(*std::move(runtime));
  }

  Result<ScoreResult> score(const std::string& path, std::size_t batch = 1,
                            std::vector<ScoreRow> rows = {{"0", {1, 2, 3}}}) {
    return runtime_->score(rows, {.batch = batch, .logits_path = path});
  }

  // What a file would hold.
  std::string expected() {
    EXPECT_TRUE(score((folder_.path() / "expected").string()).ok());
    return content_of(folder_.path() / "expected");
  }

  void expect_refused(const std::string& path, const char* words) {
    SCOPED_TRACE(path);
    const auto result = score(path);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().kind, ErrorKind::invalid_argument) << result.error().message;
    EXPECT_THAT(result.error().message, HasSubstr(words));
  }

  io::TemporaryFolder folder_;
  fs::path model_;
  std::optional<Runtime> runtime_;
};

TEST_F(LogitsFileTest, TheModelsOwnFilesAreRefusedByAnyName) {
  const std::string weights = content_of(model_ / "model.safetensors");
  const std::string root = folder_.path().string() + "/";
  fs::create_symlink("model/model.safetensors", root + "link");
  fs::create_hard_link(model_ / "model.safetensors", root + "hard");
  fs::create_hard_link(model_ / "tokenizer.json", root + "text");
  fs::create_directory_symlink("model", root + "other");
  fs::create_symlink("other/new", root + "dangling");
  for (const char* name : {"model/model.safetensors", "model/config.json", "link", "hard", "text",
                           "other/model.safetensors", "model/../model/tokenizer.json"})
    expect_refused(root + name, "is a file of the model");
  for (const char* name : {"model/new", "other/new", "dangling", "model/blobs/new"})
    expect_refused(root + name, "lies in the folder of the model");
  const int fd = ::open((model_ / "model.safetensors").c_str(), O_WRONLY);
  expect_refused("/dev/fd/" + std::to_string(fd), "is a file of the model");
  ::close(fd);
  EXPECT_EQ(content_of(model_ / "model.safetensors"), weights);
  EXPECT_EQ(std::distance(fs::directory_iterator(model_), {}), 4);
  EXPECT_TRUE(score(root + "beside").ok());
}

TEST_F(LogitsFileTest, ADeviceALinkAndAFifoStay) {
  const std::string whole = expected();
  ASSERT_TRUE(score("/dev/null").ok());
  EXPECT_TRUE(fs::is_character_file("/dev/null"));

  const fs::path real = folder_.write("real", "old"), link = folder_.path() / "link2";
  fs::create_symlink("real", link);
  ASSERT_TRUE(score(link.string()).ok());
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_EQ(content_of(real), whole);

  const fs::path fifo = folder_.path() / "fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  std::string got;
  {
    const auto reader = Thread::start([&] { got = content_of(fifo); });
    ASSERT_TRUE(reader.ok());
    const auto result = score(fifo.string());
    ASSERT_TRUE(result.ok()) << result.error().message;
  }
  EXPECT_EQ(got, whole);
  EXPECT_TRUE(fs::is_fifo(fifo));
}

TEST_F(LogitsFileTest, APipeTakesRowsThatComeInOrderAndRefusesOthers) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const std::string pipe = "/dev/fd/" + std::to_string(ends[1]);
  const std::vector<ScoreRow> sorted = {{"a", {1}}, {"b", {2}}};
  const std::vector<ScoreRow> turned = {{"b", {1}}, {"a", {2}}};
  EXPECT_TRUE(score(pipe, 1, sorted).ok());
  for (const auto& result : {score(pipe, 2, sorted), score(pipe, 1, turned)}) {
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().kind, ErrorKind::invalid_argument);
    EXPECT_THAT(result.error().message, HasSubstr("can be written in order only"));
  }
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(LogitsFileTest, APathOfAnyBytesIsAFileOrAnError) {
  expect_refused(std::string("a\0b", 3), "a NUL");
  expect_refused(folder_.path().string(), "is a directory");
  EXPECT_TRUE(score((folder_.path() / "\xff\xfe").string()).ok());
  EXPECT_FALSE(score((folder_.path() / "absent" / "out").string()).ok());
  EXPECT_FALSE(score("/dev/full").ok());
}

TEST_F(LogitsFileTest, AFailedRunLeavesWhatStoodThere) {
  const fs::path out = folder_.write("out/file", "old");
  CancellationToken cancel;
  cancel.cancel();
  const std::vector<ScoreRow> rows = {{"0", {1, 2, 3}}};
  EXPECT_FALSE(runtime_->score(rows, {.logits_path = out.string()}, nullptr, &cancel).ok());
  EXPECT_FALSE(score(out.string(), 1, {{"0", {1, 2, 1'000'000}}}).ok());
  EXPECT_FALSE(score(out.string(), 1, {{"0", {1}}, {"0", {2}}}).ok());
  EXPECT_EQ(content_of(out), "old");
  EXPECT_EQ(std::distance(fs::directory_iterator(out.parent_path()), {}), 1);
}

}  // namespace
}  // namespace ollm::runtime
