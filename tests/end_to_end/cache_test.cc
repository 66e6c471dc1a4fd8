// ollm cache list | verify | prune | clear, as a user meets them.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "ollm/io/temporary_folder.h"
#include "ollm/kv/pool.h"
#include "ollm/kv/stored_lines.h"
#include "tests/end_to_end/run_command.h"
#include "tests/end_to_end/terminal.h"
#include "tests/schema.h"

namespace ollm::testing {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

class CacheCommand : public ::testing::Test {
 protected:
  void store(std::string_view model, std::uint64_t seed) const {
    kv::PoolOptions options;
    options.folder = folder_.path() / "kv";
    options.stripe_part_bytes = 4 * kv::kTestPart;
    options.free_share = 0;
    const Digest fingerprint = kv::test_fingerprint(model);
    const auto pool = std::move(kv::Pool::open(options, io::posix())).value();
    ASSERT_TRUE(pool->set_fingerprint(fingerprint).ok());
    ASSERT_TRUE(kv::store_line(*pool, fingerprint, kv::test_tokens(seed, 83)).ok());
  }
  std::string with_folder(std::string_view arguments) const {
    return fmt::format("cache {} --cache-dir '{}'", arguments, folder_.path().string());
  }
  CommandResult ollm(std::string_view arguments) const { return run_ollm(with_folder(arguments)); }
  Json json(std::string_view arguments, const std::string& schema) const {
    const CommandResult run = ollm(fmt::format("{} --json", arguments));
    EXPECT_EQ(run.exit_code, 0) << run.err;
    EXPECT_EQ(run.err, "");
    Json parsed = Json::parse(run.out, nullptr, false);
    expect_valid(schema, parsed, schema);
    return parsed;
  }

  const io::TemporaryFolder folder_;
};

TEST_F(CacheCommand, AnEmptyFolderHasNothing) {
  EXPECT_EQ(json("list", "cache_list")["entries"].size(), 0u);
  EXPECT_EQ(json("verify", "cache_verify")["blocks"], 0u);
  EXPECT_EQ(json("prune --max-size 0", "cache_prune")["freed_bytes"], 0u);
  EXPECT_EQ(json("clear", "cache_prune")["freed_bytes"], 0u) << "nobody is asked";
  EXPECT_THAT(ollm("list").out, HasSubstr("0 B of at most "));
}

TEST_F(CacheCommand, ListsVerifiesAndRemoves) {
  store("one", 1);
  store("two", 2);
  const Json list = json("list", "cache_list");
  EXPECT_EQ(list["folder"], (folder_.path() / "kv").string());
  ASSERT_EQ(list["entries"].size(), 2u);
  const std::string one = kv::test_fingerprint("one").hex();
  EXPECT_THAT(ollm("list").out, HasSubstr("a model of no known name - "));
  EXPECT_THAT(ollm("list").out, HasSubstr("83 tokens in 11 blocks"));
  EXPECT_THAT(ollm("list").out, HasSubstr("[" + one.substr(0, 12) + "]"));

  EXPECT_EQ(json("verify", "cache_verify")["blocks"], 22u);
  EXPECT_EQ(ollm("verify").out, "22 blocks, all as they were stored\n");
  EXPECT_GT(json("prune --model " + one, "cache_prune")["freed_bytes"], 0u);
  EXPECT_EQ(json("list", "cache_list")["entries"].size(), 1u);
  EXPECT_THAT(ollm("clear --yes").out, HasSubstr(" removed\n"));
  EXPECT_EQ(json("list", "cache_list")["bytes"], 0u);
}

TEST_F(CacheCommand, WhatIsCorruptIsExit5) {
  store("one", 1);
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path() / "kv")) {
    if (entry.path().extension() != ".kv") continue;
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(3 * 4096 + 5);
    file.put('\x55');
  }
  const CommandResult found = ollm("verify");
  EXPECT_EQ(found.exit_code, 5);
  EXPECT_THAT(found.out, HasSubstr("11 blocks, 1 of them corrupt: they are set aside"));
  EXPECT_EQ(ollm("verify").exit_code, 0) << "it is found no more";
}

TEST_F(CacheCommand, WhatMakesNoSenseIsExit2) {
  store("one", 1);
  for (const auto& [arguments, words] :
       {std::pair{"prune", "what is to go?"},
        {"prune --max-size big", "--max-size: 'big' is not a size"},
        {"prune --older-than old", "--older-than: 'old' is not"},
        {"clear", "--yes says that they are to go"}}) {
    const CommandResult run = ollm(arguments);
    EXPECT_EQ(run.exit_code, 2) << arguments;
    EXPECT_THAT(run.err, HasSubstr(words));
    EXPECT_EQ(run.out, "");
  }
  const CommandResult other = ollm("prune --model " + std::string(64, '0'));
  EXPECT_EQ(other.exit_code, 3);
  EXPECT_THAT(other.err, HasSubstr("nothing is stored of"));
  EXPECT_EQ(json("list", "cache_list")["entries"].size(), 1u) << "nothing went";
  std::filesystem::permissions(folder_.path() / "kv", std::filesystem::perms(0777));
  EXPECT_EQ(ollm("list").exit_code, 2);
  EXPECT_THAT(ollm("list").err, HasSubstr("others may write to it"));
}

TEST_F(CacheCommand, TheModelOfTheSettingsIsNotMeant) {
  const CommandResult run =
      run_shell("OLLM_RUNTIME__MODEL_REFERENCE=mine \"$OLLM\" " + with_folder("prune"));
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_THAT(run.err, HasSubstr("what is to go?"));
}

TEST_F(CacheCommand, ClearAsksOnATerminal) {
  if (!Terminal::available()) GTEST_SKIP() << "skipped: no terminals here";
  store("one", 1);
  for (const auto& [answer, removed] : {std::pair{"n", false}, {"\n", false}, {"y", true}}) {
    Terminal terminal("\"$OLLM\" " + with_folder("clear"));
    ASSERT_TRUE(terminal.read_until("[y/N] "));
    terminal.type(std::string(answer) + "\n");
    EXPECT_EQ(terminal.wait(), 0);
    EXPECT_THAT(terminal.text(), HasSubstr(" removed"));
    EXPECT_EQ(json("list", "cache_list")["entries"].empty(), removed) << answer;
  }
}

}  // namespace
}  // namespace ollm::testing
