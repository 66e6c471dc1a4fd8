#include "ollm/checkpoint/content_hash.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include "ollm/checkpoint/background_hash.h"
#include "ollm/checkpoint/known_hashes.h"
#include "ollm/checkpoint/model_folder_fixture.h"

namespace ollm::checkpoint {
namespace {

using Call = io::FaultySystemCalls::Call;
using ::testing::HasSubstr;

class ContentHashTest : public ModelFolderTest {
 protected:
  ContentHashTest() { write_shards(); }

  Result<Digest> hash_of(const std::filesystem::path& folder,
                         const std::filesystem::path& memory = {}) const {
    OLLM_TRY(ModelFolder opened, ModelFolder::open(folder, calls_));
    OLLM_TRY(ContentHash hash, ContentHash::begin(std::move(opened), memory, budget_, calls_));
    return hash.finish(nullptr, CancellationToken());
  }
  Digest hash() const {
    const Result<Digest> made = hash_of(folder_.path());
    EXPECT_TRUE(made.ok()) << made.error().message;
    return made.ok() ? *made : Digest();
  }
  // What is hashed now may be remembered.
  static void settle() { std::this_thread::sleep_for(std::chrono::milliseconds(70)); }

  // Weights of several pieces, the last one short.
  void write_large() const {
    const std::vector<NewTensor> tensors{{"a", DType::f32, Shape{kLargeFloats}}};
    write("model-1.safetensors",
          *make_safetensors_header(tensors) + std::string(4 * kLargeFloats, 'x'));
  }
  static constexpr std::size_t kLargeFloats = 900'000;

  // The file with other bytes, of the same size and date.
  static void write_secretly(const std::filesystem::path& path) {
    struct stat before{};
    ASSERT_EQ(::stat(path.c_str(), &before), 0);
    const int fd = ::open(path.c_str(), O_WRONLY);
    ASSERT_EQ(::pwrite(fd, "z", 1, before.st_size - 1), 1);
    const struct timespec times[2] = {before.st_atim, before.st_mtim};
    ASSERT_EQ(::futimens(fd, times), 0);
    ::close(fd);
  }

  mutable memory::Budget budget_{std::uint64_t{64} << 20};
};

TEST_F(ContentHashTest, IsTheSameWhereverTheFolderLies) {
  const Digest here = hash();
  const io::TemporaryFolder other;
  std::filesystem::copy(folder_.path(), other.path() / "other",
                        std::filesystem::copy_options::recursive);
  EXPECT_EQ(*hash_of(other.path() / "other"), here);
  EXPECT_EQ(*hash_of(other.path() / "other" / ""), here) << "a slash behind its name";
  std::filesystem::create_directory_symlink(folder_.path(), other.path() / "link");
  EXPECT_EQ(*hash_of(other.path() / "link"), here);
  std::filesystem::create_directory(other.path() / "links");
  for (const char* name : {"config.json", "model.safetensors.index.json", "model-1.safetensors",
                           "model-2.safetensors"})
    std::filesystem::create_symlink(folder_.path() / name, other.path() / "links" / name);
  EXPECT_EQ(*hash_of(other.path() / "links"), here);
}

TEST_F(ContentHashTest, IsAnotherWithEveryFileThatDecidesNumbers) {
  const Digest before = hash();
  write("tokenizer.json", "{}");
  write("generation_config.json", "{}");
  EXPECT_EQ(hash(), before) << "these decide none";
  write("config.json", R"({"model_type":"llama","hidden_size":8})");
  const Digest config = hash();
  EXPECT_NE(config, before);
  std::string bytes = weights({"b"});
  bytes.back() = 'z';
  write("model-2.safetensors", bytes);
  const Digest values = hash();
  EXPECT_NE(values, config);
  std::filesystem::rename(folder_.path() / "model-1.safetensors", folder_.path() / "c.safetensors");
  write("model.safetensors.index.json",
        R"({"weight_map":{"a":"c.safetensors","b":"model-2.safetensors"}})");
  EXPECT_NE(hash(), values) << "a name";
}

TEST_F(ContentHashTest, IsTheSameByDirectAndBufferedReadsWholeAndTorn) {
  write_large();
  const Digest direct = hash();
  calls_.tear_transfers(3);
  EXPECT_EQ(hash(), direct);
  calls_.heal();
  calls_.refuse_direct_reads();
  EXPECT_EQ(hash(), direct);
}

TEST_F(ContentHashTest, WhatIsKnownIsNotReadAgain) {
  write_large();
  settle();
  const auto memory = folder_.path() / "content_hashes";
  const Digest first = *hash_of(folder_.path(), memory);
  EXPECT_EQ(KnownHashes::read(memory, io::posix()).size(), 2u);
  const std::uint64_t read = calls_.bytes_read();
  EXPECT_EQ(*hash_of(folder_.path(), memory), first);
  EXPECT_LT(calls_.bytes_read() - read, 65536u) << "headers and what is known";
  EXPECT_EQ(first, hash());
}

TEST_F(ContentHashTest, AnotherModelOfTheSameSizeAndDateIsNoticed) {
  settle();
  const auto memory = folder_.path() / "content_hashes";
  const Digest first = *hash_of(folder_.path(), memory);
  write_secretly(folder_.path() / "model-2.safetensors");
  EXPECT_NE(*hash_of(folder_.path(), memory), first);
}

TEST_F(ContentHashTest, WhatWasJustWrittenIsNotRemembered) {
  const auto memory = folder_.path() / "content_hashes";
  write_shards();
  ASSERT_TRUE(hash_of(folder_.path(), memory).ok());
  EXPECT_EQ(KnownHashes::read(memory, io::posix()).size(), 0u);
}

TEST_F(ContentHashTest, AMemoryThatCannotBeWrittenChangesNothing) {
  settle();
  EXPECT_EQ(*hash_of(folder_.path(), folder_.path() / "nowhere" / "content_hashes"), hash());
}

TEST_F(ContentHashTest, AFileThatChangesMeanwhileIsAnError) {
  write_large();
  using Change = void (io::FaultySystemCalls::*)(std::uint64_t);
  for (const Change change :
       {Change(&io::FaultySystemCalls::touch), Change(&io::FaultySystemCalls::replace)}) {
    auto opened = open();
    ASSERT_TRUE(opened.ok());
    auto hash = ContentHash::begin(*opened, {}, budget_, calls_);
    ASSERT_TRUE(hash.ok());
    ASSERT_FALSE(*hash->step());
    calls_.restrict_to("model-1.safetensors");
    (calls_.*change)(0);
    const auto made = hash->finish(nullptr, CancellationToken());
    ASSERT_FALSE(made.ok());
    EXPECT_EQ(made.error().kind, ErrorKind::corrupt);
    EXPECT_THAT(made.error().message, HasSubstr("model-1.safetensors: file changed while in use"));
    calls_.heal();
  }
  EXPECT_EQ(calls_.open_files(), 0u);
}

TEST_F(ContentHashTest, AFileThatIsCutMeanwhileIsAnError) {
  write_large();
  auto opened = open();
  auto hash = ContentHash::begin(*opened, {}, budget_, calls_);
  ASSERT_FALSE(*hash->step());
  calls_.restrict_to("model-1.safetensors");
  calls_.shrink(1 << 20);
  const auto made = hash->finish(nullptr, CancellationToken());
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().kind, ErrorKind::corrupt);
}

TEST_F(ContentHashTest, AFileThatGotItsDateBackIsAnError) {
  auto opened = open();
  ASSERT_TRUE(opened.ok());
  settle();
  write_secretly(folder_.path() / "model-2.safetensors");
  auto hash = ContentHash::begin(*opened, {}, budget_, calls_);
  const auto made = hash->finish(nullptr, CancellationToken());
  ASSERT_FALSE(made.ok());
  EXPECT_THAT(made.error().message, HasSubstr("its status or its date was changed"));
}

TEST_F(ContentHashTest, EveryFailedReadIsAnErrorAndTheNextTimeWorks) {
  const Digest whole = hash();
  for (std::uint64_t k = 0;; ++k) {
    auto opened = open();
    ASSERT_TRUE(opened.ok());
    auto hash = ContentHash::begin(*opened, {}, budget_, calls_);
    const std::uint64_t before = calls_.count(Call::pread);
    calls_.fail(Call::pread, k, EIO, io::FaultySystemCalls::Repeat::sticky);
    const auto made = hash->finish(nullptr, CancellationToken());
    const bool met = calls_.count(Call::pread) - before > k;
    calls_.heal();
    if (!met) {
      EXPECT_EQ(*made, whole);
      break;
    }
    ASSERT_FALSE(made.ok());
    EXPECT_EQ(made.error().kind, ErrorKind::io);
    EXPECT_EQ(*hash_of(folder_.path()), whole);
    ASSERT_LT(k, 100u);
  }
  EXPECT_EQ(calls_.open_files(), 0u);
}

TEST_F(ContentHashTest, StopsWhenItIsAsked) {
  write_large();
  auto hash = ContentHash::begin(*open(), {}, budget_, calls_);
  CancellationToken cancel;
  std::uint64_t last = 0;
  const auto made = hash->finish(
      [&](std::uint64_t done, std::uint64_t total) {
        last = done;
        EXPECT_LE(done, total);
        cancel.cancel();
      },
      cancel);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().kind, ErrorKind::cancelled);
  EXPECT_EQ(last, ContentHash::kPieceBytes);
}

TEST_F(ContentHashTest, WithoutMemoryForItsPieceIsOutOfBudget) {
  memory::Budget small(1000);
  const auto hash = ContentHash::begin(*open(), {}, small, calls_);
  ASSERT_FALSE(hash.ok());
  EXPECT_EQ(hash.error().kind, ErrorKind::out_of_budget);
}

class BackgroundHashTest : public ContentHashTest {
 protected:
  std::unique_ptr<BackgroundHash> start(const std::filesystem::path& memory = {}) const {
    auto background = BackgroundHash::start(*open(), memory, budget_, calls_);
    EXPECT_TRUE(background.ok());
    return std::move(background).value();
  }
  // Polls without taking the processor from a thread that gives way to all others.
  static Result<Digest> outcome(const BackgroundHash& background) {
    for (;;) {
      if (const auto made = background.poll()) return *made;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
};

TEST_F(BackgroundHashTest, IsThereAfterAWhile) {
  write_large();
  const Digest expected = hash();
  const auto background = start();
  EXPECT_EQ(*outcome(*background), expected);
  EXPECT_EQ(*background->wait(nullptr, CancellationToken()), expected);
}

TEST_F(BackgroundHashTest, WhoeverWaitsGetsTheSame) {
  write_large();
  const Digest expected = hash();
  const auto background = start();
  std::thread other([&] { EXPECT_EQ(*background->wait(nullptr, CancellationToken()), expected); });
  EXPECT_EQ(*background->wait(nullptr, CancellationToken()), expected);
  other.join();
  EXPECT_EQ(**background->poll(), expected);
}

TEST_F(BackgroundHashTest, WhoStopsWaitingLeavesTheWorkToIt) {
  write_large();
  const auto background = start();
  CancellationToken cancel;
  cancel.cancel();
  EXPECT_EQ(background->wait(nullptr, cancel).error().kind, ErrorKind::cancelled);
  EXPECT_EQ(*outcome(*background), hash());
}

TEST_F(BackgroundHashTest, EndsWithItsOwnerAtAnyTime) {
  write_large();
  for (int i = 0; i < 20; ++i) start();
  EXPECT_EQ(calls_.open_files(), 0u);
  EXPECT_EQ(budget_.used_bytes(), 0u);
}

TEST_F(BackgroundHashTest, IsThereAtOnceWhereAllIsKnown) {
  settle();
  const auto memory = folder_.path() / "content_hashes";
  const Digest expected = *hash_of(folder_.path(), memory);
  EXPECT_EQ(**start(memory)->poll(), expected);
}

TEST_F(BackgroundHashTest, AnErrorStays) {
  write_large();
  auto opened = open();
  calls_.restrict_to("model-2.safetensors");
  calls_.fail(Call::pread, 0, EIO, io::FaultySystemCalls::Repeat::sticky);
  const auto background = BackgroundHash::start(*opened, {}, budget_, calls_);
  const auto made = (*background)->wait(nullptr, CancellationToken());
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().kind, ErrorKind::io);
  EXPECT_FALSE((*background)->poll()->ok());
}

}  // namespace
}  // namespace ollm::checkpoint
