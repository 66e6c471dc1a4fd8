// The strategy that keeps a window of tokens: one answer whatever the chunk, and that of a model
// whose own config has the window.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "ollm/io/temporary_folder.h"
#include "ollm/runtime/windowed_model.h"
#include "tests/end_to_end/run_command.h"

namespace ollm::testing {
namespace {

using Json = nlohmann::json;

Json ids(const std::string& model, const std::string& more) {
  const CommandResult run = run_ollm(fmt::format(
      "prompt --quiet --json --model '{}' --file examples/contract.txt --max-new-tokens 12 {} "
      "'Who signed the contract?'",
      model, more));
  EXPECT_EQ(run.exit_code, 0) << run.err;
  return run.exit_code == 0 ? Json::parse(run.out)["ids"] : Json();
}

TEST(KvWindow, IsTheModelsOwnWhateverTheChunk) {
  const io::TemporaryFolder folder;
  const std::filesystem::path mistral = folder.path() / "mistral";
  runtime::write_windowed_model(mistral, 40);
  const Json own = ids(mistral.string(), "");
  ASSERT_TRUE(own.is_array());
  EXPECT_NE(own, ids(kShippedModel, ""));
  for (const char* chunk : {"1", "64", "100", "512"}) {
    const std::string more = fmt::format("--kv-cache-window-tokens 40 --prefill-chunk {}", chunk);
    EXPECT_EQ(ids(kShippedModel, more), own) << chunk;
  }
  EXPECT_EQ(ids(kShippedModel, "--kv-cache-window-tokens 4000"), ids(kShippedModel, "--no-cache"));
}

TEST(KvWindow, IsNeverKept) {
  const io::TemporaryFolder folder;
  const std::string more =
      fmt::format("--strategy-selector-profile bounded-window --cache-dir '{}'",
                  (folder.path() / "cache").string());
  (void)ids(kShippedModel, more);
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "cache"));
}

}  // namespace
}  // namespace ollm::testing
