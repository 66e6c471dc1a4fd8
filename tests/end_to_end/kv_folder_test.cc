// What becomes of a run whose folder for keys and values is full, read-only, gone, or none at all:
// the same answer, and a word about what is not kept; or an error, where memory needs the folder.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "ollm/io/temporary_folder.h"
#include "tests/end_to_end/mount.h"
#include "tests/end_to_end/run_command.h"

namespace ollm::testing {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::size_t kTokens = 1500;
const std::string kNotKept = "not kept for later runs";

#define NEED_MOUNT(mount) \
  if (!(mount).mounted()) GTEST_SKIP() << "skipped: nothing can be mounted here; it wants root"

class KvFolder : public ::testing::Test {
 protected:
  static std::string ids(std::size_t count) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i)
      text += fmt::format("{}{}", i == 0 ? "" : ",", 3 + i * 37 % 997);
    return text;
  }
  static std::string prompt(const fs::path& cache, const std::string& more = "") {
    return fmt::format(
        "\"$OLLM\" prompt --model {} --cache-dir '{}' --ids {} --max-new-tokens 8 --ignore-eos "
        "--json {}",
        kShippedModel, cache.string(), ids(kTokens), more);
  }
  static CommandResult run(const fs::path& cache, const std::string& more = "") {
    return run_shell(prompt(cache, more));
  }
  // The smallest budget, in which keys and values spill.
  std::string lean(const std::string& more) const {
    const CommandResult planned = run_ollm(fmt::format(
        "plan {} --cache-dir '{}' --prompt-tokens {} --max-new-tokens 8 --prefill-chunk 64 "
        "--json {}",
        kShippedModel, (folder_.path() / "plan").string(), kTokens, more));
    EXPECT_EQ(planned.exit_code, 0) << planned.err;
    const auto bytes =
        Json::parse(planned.out)["execution_plan"]["memory"]["minimum_bytes"].get<std::uint64_t>();
    return fmt::format("--prefill-chunk 64 --memory {} {}", bytes, more);
  }

  void expect_answer(const CommandResult& result) {
    EXPECT_EQ(result.exit_code, 0) << result.err;
    if (result.exit_code != 0) return;
    if (expected_.is_null()) {
      const CommandResult without = run(folder_.path() / "none", "--no-cache");
      ASSERT_EQ(without.exit_code, 0) << without.err;
      expected_ = Json::parse(without.out)["ids"];
    }
    EXPECT_EQ(Json::parse(result.out)["ids"], expected_);
  }
  void expect_not_kept(const CommandResult& result) {
    expect_answer(result);
    EXPECT_THAT(result.err, HasSubstr("ollm: warning: "));
    EXPECT_THAT(result.err, HasSubstr(kNotKept));
  }
  void expect_kept(const fs::path& cache) {
    const CommandResult first = run(cache);
    expect_answer(first);
    EXPECT_THAT(first.err, Not(HasSubstr(kNotKept)));
    const CommandResult again = run(cache);
    expect_answer(again);
    if (again.exit_code != 0) return;
    EXPECT_EQ(Json::parse(again.out)["cached_tokens"], kTokens - 1);
  }

  const io::TemporaryFolder folder_;
  Json expected_;
};

TEST_F(KvFolder, WithoutRoomTheRunEndsAndSaysSo) {
  const fs::path at = folder_.path() / "small";
  const Mount small(at, "tmpfs", "tmpfs", "size=1m");
  NEED_MOUNT(small);
  expect_not_kept(run(at / "cache"));
  expect_not_kept(run(at / "cache", "--kv-cache-max-size 50GiB"));
  EXPECT_THAT(run(at / "cache", "--quiet").err, Not(HasSubstr(kNotKept)));
}

// The system says ENOSPC, as there is no room for another file.
TEST_F(KvFolder, AFullDiskEndsNoRun) {
  const fs::path at = folder_.path() / "few";
  const Mount few(at, "tmpfs", "tmpfs", "size=64m,nr_inodes=6");
  NEED_MOUNT(few);
  ASSERT_EQ(run_shell(prompt(at / "cache") + " > /dev/null").exit_code, 0);
  for (int i = 0; i < 6; ++i) std::ofstream(at / std::to_string(i)) << "x";
  for (const auto& entry : fs::directory_iterator(at / "cache" / "kv"))
    if (entry.path().extension() == ".kv") fs::remove(entry.path());
  for (int i = 0; i < 6; ++i) std::ofstream(at / ("more" + std::to_string(i))) << "x";
  const CommandResult full = run(at / "cache");
  expect_not_kept(full);
  EXPECT_THAT(full.err, HasSubstr("No space left on device"));
}

TEST_F(KvFolder, SpilledKeysWithoutRoomAreAnError) {
  const fs::path at = folder_.path() / "small";
  const Mount small(at, "tmpfs", "tmpfs", "size=1m");
  NEED_MOUNT(small);
  for (const std::string more : {"", "--no-cache"}) {
    const CommandResult refused = run(at / "cache", lean(more));
    SCOPED_TRACE("with '" + more + "'");
    EXPECT_THAT(refused.exit_code, AnyOf(4, 5)) << refused.err;
    EXPECT_THAT(refused.err, HasSubstr("ollm: error: "));
    EXPECT_THAT(refused.err, AnyOf(HasSubstr("no room"), HasSubstr(" would fit there")))
        << refused.err;
  }
}

TEST_F(KvFolder, OnAFileSystemInMemoryItIsKept) {
  const fs::path at = folder_.path() / "memory";
  const Mount memory(at, "tmpfs", "tmpfs", "size=256m");
  NEED_MOUNT(memory);
  expect_kept(at / "cache");
  expect_answer(run(at / "cache", lean("--no-cache")));
}

TEST_F(KvFolder, WhatIsReadOnlyIsReadAndNotWritten) {
  const fs::path at = folder_.path() / "read-only";
  const Mount mount(at, "tmpfs", "tmpfs", "size=256m");
  NEED_MOUNT(mount);
  expect_kept(at / "cache");
  ASSERT_TRUE(mount.make_read_only());
  const CommandResult found = run(at / "cache");
  expect_answer(found);
  EXPECT_EQ(Json::parse(found.out)["cached_tokens"], kTokens - 1);
  expect_not_kept(run(at / "other"));
  const CommandResult spilled = run(at / "other", lean("--no-cache"));
  EXPECT_THAT(spilled.exit_code, AnyOf(4, 5)) << spilled.err;
}

TEST_F(KvFolder, MayVanishWhileItIsUsed) {
  const fs::path cache = folder_.path() / "cache";
  for (const char* after : {"0.02", "0.1", "0.2"}) {
    expect_kept(cache);
    expect_answer(run_shell(
        fmt::format("{} & sleep {}; rm -rf '{}'; wait $!", prompt(cache), after, cache.string())));
    fs::remove_all(cache);
  }
}

TEST_F(KvFolder, ThatOthersMayWriteToIsRefused) {
  const fs::path cache = folder_.path() / "cache";
  expect_kept(cache);
  fs::permissions(cache / "kv", fs::perms::all);
  const CommandResult refused = run(cache);
  EXPECT_EQ(refused.exit_code, 2) << refused.err;
  EXPECT_THAT(refused.err, HasSubstr("others may write to it"));
  expect_answer(run(cache, "--no-cache"));
}

TEST_F(KvFolder, ThatIsAFileIsToldOf) {
  const fs::path cache = folder_.write("cache", "a file");
  expect_not_kept(run(cache));
  folder_.write("other/kv", "a file");
  const CommandResult refused = run(folder_.path() / "other");
  EXPECT_EQ(refused.exit_code, 2) << refused.err;
  EXPECT_THAT(refused.err, HasSubstr("is no folder"));
}

TEST_F(KvFolder, IsAskedForWhereThereIsNoHome) {
  const std::string command = fmt::format(
      "env -u HOME -u XDG_CACHE_HOME \"$OLLM\" prompt --model {} --ids {} --max-new-tokens 8 "
      "--ignore-eos --json",
      kShippedModel, ids(kTokens));
  const CommandResult asked = run_shell(command);
  EXPECT_EQ(asked.exit_code, 2) << asked.err;
  EXPECT_THAT(asked.err, HasSubstr("--cache-dir names one, --no-cache keeps none"));
  expect_answer(run_shell(command + " --no-cache"));
}

}  // namespace
}  // namespace ollm::testing
