#include "ollm/cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "ollm/io/temporary_folder.h"
#include "ollm/kv/pool.h"
#include "ollm/kv/stored_lines.h"
#include "ollm/runtime/model_names.h"
#include "tests/schema.h"

namespace ollm {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class CacheTest : public ::testing::Test {
 protected:
  CacheTest() {
    settings_.runtime.cache_dir = (folder_.path() / "cache").string();
    settings_.runtime.models_dir = (folder_.path() / "models").string();
  }

  fs::path kv_folder() const { return folder_.path() / "cache" / "kv"; }

  // Stores a line of a model; the pool is one process's, and uses it as long as it lives.
  std::unique_ptr<kv::Pool> store(std::string_view fingerprint, std::uint32_t seed = 1) const {
    kv::PoolOptions options;
    options.folder = kv_folder();
    options.stripe_part_bytes = 4 * kv::kTestPart;
    options.free_share = 0;
    auto pool = std::move(kv::Pool::open(options, io::posix())).value();
    EXPECT_TRUE(pool->set_fingerprint(kv::test_fingerprint(fingerprint)).ok());
    EXPECT_TRUE(
        kv::store_line(*pool, kv::test_fingerprint(fingerprint), kv::test_tokens(seed, 83)).ok());
    return pool;
  }
  void name(std::string_view fingerprint, std::string_view model) const {
    EXPECT_TRUE(runtime::ModelNames::note(runtime::ModelNames::path_in(kv_folder()),
                                          kv::test_fingerprint(fingerprint), model, io::posix())
                    .ok());
  }
  std::vector<fs::path> segments() const {
    std::vector<fs::path> out;
    for (const auto& entry : fs::directory_iterator(kv_folder()))
      if (entry.path().extension() == ".kv") out.push_back(entry.path());
    return out;
  }
  CacheList list() const {
    auto made = list_cache(settings_);
    EXPECT_TRUE(made.ok()) << made.error().message;
    testing::expect_valid("cache_list", nlohmann::ordered_json::parse(made->json()), "list");
    return *made;
  }

  const io::TemporaryFolder folder_;
  Settings settings_;
};

TEST_F(CacheTest, AFolderThatIsNotThereHoldsNothing) {
  const CacheList empty = list();
  EXPECT_EQ(empty.folder, kv_folder());
  EXPECT_EQ(empty.bytes, 0u);
  EXPECT_GT(empty.cap_bytes, 0u);
  EXPECT_GT(empty.disk_free_bytes, 0u);
  EXPECT_EQ(verify_cache(settings_)->blocks, 0u);
  EXPECT_EQ(prune_cache(settings_, {.max_bytes = 0})->freed_bytes, 0u);
  EXPECT_EQ(clear_cache(settings_)->freed_bytes, 0u);
  EXPECT_FALSE(fs::exists(folder_.path() / "cache")) << "looking makes no folder";
}

TEST_F(CacheTest, ListsByFingerprintWithTheNamesOfModels) {
  store("a");
  store("b", 2);
  name("b", "llama");
  settings_.runtime.kv_cache_max_bytes = 12345678;
  const CacheList found = list();
  EXPECT_EQ(found.cap_bytes, 12345678u);
  ASSERT_EQ(found.entries.size(), 2u);
  std::uint64_t bytes = 0;
  for (const CacheEntry& entry : found.entries) {
    const bool of_b = entry.fingerprint == kv::test_fingerprint("b").hex();
    EXPECT_EQ(entry.model, of_b ? std::optional<std::string>("llama") : std::nullopt);
    EXPECT_EQ(entry.blocks, 11u);
    EXPECT_EQ(entry.tokens, 83u);
    EXPECT_THAT(*entry.last_used, ::testing::MatchesRegex("20..-..-..T..:..:..Z"));
    bytes += entry.bytes;
  }
  EXPECT_LE(bytes, found.bytes);
  EXPECT_GT(bytes, 0u);
}

TEST_F(CacheTest, VerifyReadsAllAndSetsAsideWhatIsCorrupt) {
  store("a");
  std::uint64_t last = 0;
  const auto whole = verify_cache(settings_, [&](const Progress& progress) {
    EXPECT_EQ(progress.stage, Stage::verify);
    EXPECT_LE(progress.done, progress.total);
    last = progress.done;
  });
  ASSERT_TRUE(whole.ok()) << whole.error().message;
  EXPECT_EQ(whole->blocks, 11u);
  EXPECT_EQ(whole->corrupt, 0u);
  EXPECT_GT(last, 0u);
  testing::expect_valid("cache_verify", nlohmann::ordered_json::parse(whole->json()), "verify");

  {
    std::fstream file(segments().at(0), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(3 * 4096 + 5);  // behind the header of the file and that of its first stripe
    file.put('\x55');
  }
  const auto found = verify_cache(settings_);
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_EQ(found->corrupt, 1u);
  EXPECT_EQ(verify_cache(settings_)->corrupt, 0u) << "it is set aside";

  CancellationToken cancel;
  cancel.cancel();
  EXPECT_EQ(verify_cache(settings_, nullptr, &cancel).error().kind, ErrorKind::cancelled);
}

TEST_F(CacheTest, PruneTakesWhatItIsTold) {
  EXPECT_EQ(prune_cache(settings_, {}).error().kind, ErrorKind::invalid_argument);
  store("a");
  store("b", 2);
  name("a", "shipped");
  fs::create_directories(folder_.path() / "models");
  fs::copy("examples/models/clerk", folder_.path() / "models" / "shipped");
  EXPECT_EQ(prune_cache(settings_, {.older_than_s = 3600})->freed_bytes, 0u) << "all is new";

  const auto freed = prune_cache(settings_, {.model = "shipped"});
  ASSERT_TRUE(freed.ok()) << freed.error().message;
  EXPECT_GT(freed->freed_bytes, 0u);
  testing::expect_valid("cache_prune", nlohmann::ordered_json::parse(freed->json()), "prune");
  ASSERT_EQ(list().entries.size(), 1u);
  EXPECT_EQ(list().entries[0].fingerprint, kv::test_fingerprint("b").hex());

  const auto nothing = prune_cache(settings_, {.model = "shipped"});
  ASSERT_FALSE(nothing.ok());
  EXPECT_EQ(nothing.error().kind, ErrorKind::not_found);
  EXPECT_THAT(nothing.error().message, HasSubstr("nothing is stored of 'shipped'"));

  store("c", 3);
  EXPECT_GT(prune_cache(settings_, {.model = kv::test_fingerprint("c").hex()})->freed_bytes, 0u)
      << "by fingerprint";
  EXPECT_GT(prune_cache(settings_, {.max_bytes = 0})->freed_bytes, 0u);
  EXPECT_TRUE(list().entries.empty());
}

TEST_F(CacheTest, WhatAProcessUsesStaysAndIsTold) {
  const auto in_use = store("a");
  const auto kept = clear_cache(settings_);
  ASSERT_TRUE(kept.ok()) << kept.error().message;
  EXPECT_GT(kept->in_use_bytes, 0u);
  EXPECT_EQ(list().entries.size(), 1u);
}

TEST_F(CacheTest, ClearLeavesNothing) {
  store("a");
  name("a", "llama");
  const auto freed = clear_cache(settings_);
  ASSERT_TRUE(freed.ok()) << freed.error().message;
  EXPECT_GT(freed->freed_bytes, 0u);
  EXPECT_EQ(freed->in_use_bytes, 0u);
  EXPECT_TRUE(segments().empty());
  EXPECT_FALSE(fs::exists(runtime::ModelNames::path_in(kv_folder())));
}

TEST_F(CacheTest, AFolderThatOthersMayWriteToIsRefused) {
  store("a");
  fs::permissions(kv_folder(), fs::perms(0770));
  for (const ErrorKind kind :
       {list_cache(settings_).error().kind, verify_cache(settings_).error().kind,
        prune_cache(settings_, {.max_bytes = 0}).error().kind, clear_cache(settings_).error().kind})
    EXPECT_EQ(kind, ErrorKind::invalid_argument);
}

}  // namespace
}  // namespace ollm
