// What `ollm plan` says of keys and values: of a context that memory cannot hold, of what is kept
// and where, and of what is refused.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "ollm/io/temporary_folder.h"
#include "tests/end_to_end/run_command.h"

namespace ollm::testing {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

class KvPlanByCommand : public ::testing::Test {
 protected:
  // A model of 1B parameters whose weights take no space.
  static void SetUpTestSuite() {
    folder_ = new io::TemporaryFolder;
    const CommandResult made =
        run_ollm(fmt::format("bench make llama3-1B --sparse --out '{}'", model()));
    ASSERT_EQ(made.exit_code, 0) << made.err;
  }
  static void TearDownTestSuite() { delete folder_; }
  static std::string model() { return (folder_->path() / "m1b").string(); }

  static CommandResult plan(const std::string& flags) {
    return run_shell(
        fmt::format("XDG_CACHE_HOME='{0}' \"$OLLM\" plan '{1}' --max-new-tokens 100 {2}",
                    folder_->path().string(), model(), flags));
  }
  static Json execution(const std::string& flags) {
    const CommandResult run = plan(flags + " --json");
    EXPECT_EQ(run.exit_code, 0) << run.err;
    return run.exit_code == 0 ? Json::parse(run.out)["execution_plan"] : Json();
  }

  static inline io::TemporaryFolder* folder_ = nullptr;
};

TEST_F(KvPlanByCommand, AContextThatMemoryCannotHoldIsOnDisk) {
  const Json execution = KvPlanByCommand::execution("--memory 1GiB --prompt-tokens 100000");
  EXPECT_EQ(execution["fits"], true);
  const Json& kv = execution["kv"];
  EXPECT_EQ(kv["strategy"], "paged");
  EXPECT_EQ(kv["lifecycle"], "persistent");
  EXPECT_EQ(kv["folder"], (folder_->path() / "ollm/kv").string());
  EXPECT_LT(kv["frames"], kv["blocks"]);
  EXPECT_EQ(kv["bytes_per_token"], 32768);
  EXPECT_EQ(kv["written_bytes"], 100'099LL * 32768);
  EXPECT_GT(kv["read_bytes_per_token"], 3'000'000'000);
  EXPECT_LE(kv["memory_bytes"], 100 << 20);
  EXPECT_FALSE(kv["disk_free_bytes"].is_null());
}

TEST_F(KvPlanByCommand, WordsSayWhatIsReadWrittenAndFree) {
  const CommandResult words = plan("--memory 1GiB --prompt-tokens 100000 --explain");
  ASSERT_EQ(words.exit_code, 0) << words.err;
  for (const char* said :
       {"Keys and values: 32.0 KiB a token", "for 100100 tokens", "Strategy paged, persistent",
        "free", "written in all", "by the prompt's sweeps", "for each new token", "kv.reads",
        "--no-cache keeps nothing"})
    EXPECT_THAT(words.out, HasSubstr(said));
  EXPECT_THAT(words.out, HasSubstr((folder_->path() / "ollm/kv").string()));
}

TEST(KvPlan, StatesAreToldApart) {
  const CommandResult words =
      run_ollm("plan tests/fixtures/models/qwen35-mtp --prompt-tokens 100 --no-cache --explain");
  ASSERT_EQ(words.exit_code, 0) << words.err;
  EXPECT_THAT(words.out, HasSubstr("of it states of 2 layers"));
}

TEST_F(KvPlanByCommand, ResidentOfThatContextIsRefusedAndNothingElseIs) {
  const std::string flags = "--memory 1GiB --prompt-tokens 100000 ";
  EXPECT_EQ(execution(flags + "--kv-cache-strategy resident")["fits"], false);
  for (const char* other : {"--no-cache", "--kv-ephemeral", "--kv-cache-lifecycle runtime-scoped",
                            "--kv-cache-strategy chunked", "--kv-cache-strategy streamed-segmented",
                            "--kv-cache-strategy log-structured-journal",
                            "--kv-cache-strategy tiered-write-back", "--backend native-generic"})
    EXPECT_EQ(execution(flags + other)["fits"], true) << other;
}

TEST_F(KvPlanByCommand, WithoutACacheNothingIsKeptAndNoDiskIsNeededWhereMemoryHoldsIt) {
  const Json kv = execution("--memory 8GiB --prompt-tokens 1000 --no-cache")["kv"];
  EXPECT_EQ(kv["strategy"], "resident");
  EXPECT_EQ(kv["disk_bytes"], 0);
  EXPECT_TRUE(kv["folder"].is_null());
  EXPECT_TRUE(kv["disk_free_bytes"].is_null());
}

TEST_F(KvPlanByCommand, RulesBetweenSettingsAreRefusedByName) {
  const CommandResult both = plan("--no-cache --kv-ephemeral");
  EXPECT_EQ(both.exit_code, 2);
  EXPECT_THAT(both.err, HasSubstr("runtime.use_cache"));
  EXPECT_THAT(both.err, HasSubstr("runtime.kv_ephemeral"));
  const CommandResult kept = plan("--kv-cache-strategy resident --kv-cache-lifecycle persistent");
  EXPECT_EQ(kept.exit_code, 2);
  EXPECT_THAT(kept.err, HasSubstr("runtime.kv_cache_lifecycle"));
  EXPECT_EQ(plan("--kv-cache-strategy paged --kv-cache-window-tokens 99").exit_code, 2);
  const CommandResult homeless =
      run_shell(fmt::format("HOME= XDG_CACHE_HOME= \"$OLLM\" plan '{}'", model()));
  EXPECT_EQ(homeless.exit_code, 2);
  EXPECT_THAT(homeless.err, HasSubstr("--cache-dir"));
}

}  // namespace
}  // namespace ollm::testing
