// What `ollm plan` says of many requests: how many lines pay, how long the whole job takes, and
// what is refused.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "ollm/io/temporary_folder.h"
#include "tests/end_to_end/run_command.h"
#include "tests/schema.h"

namespace ollm::testing {
namespace {

using ::testing::HasSubstr;
using Json = SchemaJson;

class LinesPlanByCommand : public ::testing::Test {
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
    return run_shell(fmt::format(
        "XDG_CACHE_HOME='{0}' \"$OLLM\" plan '{1}' --prompt-tokens 500 --max-new-tokens 200 "
        "--memory 1GiB {2}",
        folder_->path().string(), model(), flags));
  }
  static Json execution(const std::string& flags) {
    const CommandResult run = plan(flags + " --json");
    EXPECT_EQ(run.exit_code, 0) << run.err;
    return run.exit_code == 0 ? Json::parse(run.out)["execution_plan"] : Json();
  }

  static inline io::TemporaryFolder* folder_ = nullptr;
};

TEST_F(LinesPlanByCommand, TheWholeJobIsEstimated) {
  const Json execution = LinesPlanByCommand::execution("--sequences 8 --requests 1000");
  expect_valid("execution_plan", execution, "8 lines");
  const Json& estimate = execution["estimate"];
  EXPECT_EQ(execution["kv"]["sequences"], 8);
  EXPECT_EQ(estimate["requests"], 1000);
  const double total = estimate["total_s"];
  EXPECT_NEAR(estimate["job_tokens_per_second"].get<double>(), 200'000 / total, 1e-6);
  EXPECT_GT(total, 990 * estimate["seconds_per_request"].get<double>());
  EXPECT_LT(total,
            LinesPlanByCommand::execution("--requests 1000 --sequences 1")["estimate"]["total_s"]
                .get<double>());
}

TEST_F(LinesPlanByCommand, AsManyLinesAsPayAreTaken) {
  const Json execution = LinesPlanByCommand::execution("--requests 1000");
  expect_valid("execution_plan", execution, "any number of lines");
  EXPECT_EQ(execution["kv"]["sequences"], execution["lines"]["pay"]);
  EXPECT_GT(execution["lines"]["pay"], 1);
  EXPECT_EQ(execution["lines"]["choices"][0]["lines"], 1);
  EXPECT_EQ(LinesPlanByCommand::execution("--requests 3")["kv"]["sequences"], 3);
}

TEST_F(LinesPlanByCommand, WordsAnswerOverLines) {
  const CommandResult words = plan("--sequences 16 --requests 1000 --explain");
  ASSERT_EQ(words.exit_code, 0) << words.err;
  for (const char* said :
       {"200 new tokens for each of 1000 requests, 16 at a time", "a request has its line for",
        "Lines at once: ", " pay; ", "weights pinned", "lines = 16: asked for; "})
    EXPECT_THAT(words.out, HasSubstr(said));
  EXPECT_THAT(plan("").out, HasSubstr("Lines at once: "));
}

TEST_F(LinesPlanByCommand, NonsenseIsRefused) {
  for (const char* flags : {"--requests 0", "--requests -1", "--requests x", "--sequences 0",
                            "--requests 99999999999999999999", "--requests 1099511627777"}) {
    const CommandResult refused = plan(flags);
    EXPECT_EQ(refused.exit_code, 2) << flags;
    EXPECT_THAT(refused.err, HasSubstr("from 1 to ")) << flags;
  }
  EXPECT_EQ(plan("--requests 1099511627776 --sequences 65536 --json").exit_code, 0);
}

}  // namespace
}  // namespace ollm::testing
