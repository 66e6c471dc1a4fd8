// Promise: after the power went, what was committed is found, nothing else is believed, and nothing
// needs a repair. A file system in a file, which is copied while a run that stores is stopped: the
// copy is what a disk would hold.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "ollm/io/temporary_folder.h"
#include "tests/end_to_end/run_command.h"

namespace ollm::testing {
namespace {

using Json = nlohmann::json;

class KvPowerCut : public ::testing::Test {
 protected:
  static std::string ids(std::size_t count, std::mt19937& random) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i)
      text += fmt::format("{}{}", i == 0 ? "" : ",", 3 + random() % 1500);
    return text;
  }
  std::string prompt(const std::string& cache, const std::string& of, std::size_t tokens) const {
    return fmt::format(
        "\"$OLLM\" prompt --quiet --model {} --cache-dir '{}/{}' --ids {} --max-new-tokens {} "
        "--ignore-eos --json",
        kShippedModel, folder_.path().string(), cache, of, tokens);
  }
  Json answer(const std::string& cache, const std::string& of, const std::string& more = "") {
    const CommandResult result = run_shell(prompt(cache, of, 6) + " " + more);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.exit_code == 0 ? Json::parse(result.out) : Json();
  }
  bool shell(const std::string& script) const {
    const CommandResult result = run_shell("cd '" + folder_.path().string() + "' && " + script);
    if (result.exit_code != 0) fmt::print("{}\n", result.err);
    return result.exit_code == 0;
  }

  const io::TemporaryFolder folder_;
};

TEST_F(KvPowerCut, WhatWasCommittedIsFoundAndAnswersAreRight) {
  const char* wanted = std::getenv("OLLM_POWER_CUTS");
  const int cuts = wanted != nullptr ? std::atoi(wanted) : 2;
  if (!shell("command -v mkfs.ext4 && truncate -s 160M disk && mkfs.ext4 -q disk && mkdir on after "
             "&& mount -o loop disk on"))
    GTEST_SKIP() << "skipped: no file can be mounted as a disk here; it wants root";
  const std::uint32_t seed = std::random_device()();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937 random(seed);
  std::size_t found = 0;
  for (int cut = 0; cut < cuts; ++cut) {
    const std::string whole = ids(300 + random() % 500, random);
    const std::string stopped = ids(600 + random() % 1500, random);
    EXPECT_TRUE(answer("on/cache", whole).is_object());
    // A run is stopped somewhere between its first and its last write.
    const std::string pid = (folder_.path() / "pid").string();
    (void)run_shell(fmt::format(
        "{} > /dev/null & echo $! > '{}'; sleep 0.{:03}; kill -STOP $!; cp --sparse=always "
        "'{}/disk' '{}/copy'; kill -KILL $!; wait",
        prompt("on/cache", stopped, 300), pid, 20 + random() % 600, folder_.path().string(),
        folder_.path().string()));
    ASSERT_TRUE(shell("mount -o loop copy after"));
    const Json after = answer("after/cache", whole);
    const Json again = answer("after/cache", stopped);
    EXPECT_TRUE(shell("umount after && rm copy"));
    ASSERT_TRUE(after.is_object() && again.is_object());
    EXPECT_EQ(after["ids"], answer("none", whole, "--no-cache")["ids"]);
    EXPECT_EQ(again["ids"], answer("none", stopped, "--no-cache")["ids"]);
    EXPECT_EQ(after["cached_tokens"], after["prompt_tokens"].get<std::size_t>() - 1);
    found += again["cached_tokens"].get<std::size_t>();
  }
  EXPECT_TRUE(shell("umount on"));
  fmt::print("{} power cuts, {} tokens of the runs that they ended were found\n", cuts, found);
}

}  // namespace
}  // namespace ollm::testing
