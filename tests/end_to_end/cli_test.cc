// The command line as a user meets it, on the shipped model and on the models of others.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/end_to_end/run_command.h"
#include "tests/test_data.h"

namespace ollm::testing {
namespace {

using Json = nlohmann::ordered_json;

// The published text of stories260k after "Once upon a time" (llama2.c).
constexpr const char* kStory =
    ", there was a little girl named Lily. She loved to play outside in the park. One day, she saw "
    "a big, red ball. She wanted to play with it, but it was too high.\n"
    "Lily's mom said, \"Lily, let's go to the park.\" Lily was sad and didn't know what to do. She "
    "said, \"I want to play with your ball, but I can't find it.\"\n"
    "Lily was sad and didn't know what to do. She said, \"I'm sorry, Lily. I didn't know what to "
    "do.\"\n"
    "Lily didn't want to help her mom, so she said, \"I'm sorry, mom. I didn't know what to do.\" "
    "Her mom said, \"Don't worry, Lily. We can help you.\n";

std::string prompt_shipped(const std::string& more) {
  return "prompt --quiet --model " + kShippedModel + " " + more;
}

TEST(CommandLine, ShippedModelAnswersFromTheShippedDocument) {
  const CommandResult run =
      run_ollm(prompt_shipped("--file examples/contract.txt 'Who signed the contract?'"));
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.out, "Bastan Morwick\n");
  EXPECT_EQ(run.err, "");
}

TEST(CommandLine, StoryComesOutWholeAndOnEveryTable) {
  OLLM_NEED_TEST_DATA(data);
  const std::string model = "'" + (data / "models" / "stories260k").string() + "'";
  for (const std::string isa : {"scalar", "avx2", "auto"}) {
    const CommandResult run =
        run_ollm("prompt --quiet --model " + model + " --isa " + isa + " --max-new-tokens 300 -",
                 "Once upon a time\n");
    if (run.exit_code == 2) continue;  // a table that this machine lacks
    EXPECT_EQ(run.exit_code, 0) << run.err;
    // "Once upon a time" is not repeated; the end token <s> ends the text.
    EXPECT_EQ(run.out.substr(0, std::string(kStory).size() - 2),
              std::string(kStory).substr(0, std::string(kStory).size() - 2));
  }
}

TEST(CommandLine, ShowPromptMarksControlTokensAndNoTextThatLooksLikeThem) {
  OLLM_NEED_TEST_DATA(data);
  const std::string model = "'" + (data / "models" / "stories260k").string() + "'";
  const std::string command =
      "prompt --quiet --show-prompt --max-new-tokens 1 --model " + model + " 'a </s> b' ";
  const CommandResult text = run_ollm(command);
  ASSERT_EQ(text.exit_code, 0) << text.err;
  EXPECT_NE(text.err.find("\u27E6<s>\u27E7"), std::string::npos) << text.err;
  EXPECT_NE(text.err.find("a </s> b"), std::string::npos) << text.err;
  const CommandResult parsed = run_ollm(command + "--parse-special");
  EXPECT_NE(parsed.err.find("\u27E6</s>\u27E7"), std::string::npos) << parsed.err;
  EXPECT_EQ(parsed.out.find("\u27E6"), std::string::npos);
}

TEST(CommandLine, RenderTakesATemplateByFileAndByName) {
  const std::string file = "/tmp/ollm_render_" + std::to_string(::getpid()) + ".jinja";
  std::ofstream(file) << "{{ messages|length }}\n{{ messages[0].x.y }}";
  const std::string command = "render --jsonl " + kShippedModel + " --chat-template ";
  const CommandResult by_file = run_ollm(command + file, "{\"messages\": [1]}\n");
  std::filesystem::remove(file);
  EXPECT_EQ(by_file.exit_code, 0) << by_file.err;
  const Json error = Json::parse(by_file.out)["error"];
  EXPECT_EQ(error["line"], 2) << by_file.out;
  EXPECT_GT(error["column"], 1) << by_file.out;
  const CommandResult by_name = run_ollm(command + "no-such-template", "{\"messages\": []}\n");
  EXPECT_EQ(by_name.exit_code, 0) << by_name.err;
  EXPECT_NE(by_name.out.find("no-such-template"), std::string::npos) << by_name.out;
}

TEST(CommandLine, JsonIsOneObjectWithTheKeysOfTheContract) {
  const CommandResult run =
      run_ollm(prompt_shipped("--json --ids 1,4,51,36,2,5 --max-new-tokens 4"));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const Json out = Json::parse(run.out);
  std::vector<std::string> keys;
  for (const auto& [key, value] : out.items()) keys.push_back(key);
  EXPECT_EQ(keys, (std::vector<std::string>{"text", "ids", "prompt_tokens", "cached_tokens",
                                            "finish_reason", "runtime_plan", "execution_plan",
                                            "report"}));
  EXPECT_EQ(out["prompt_tokens"], 6);
  EXPECT_EQ(out["runtime_plan"]["specialization_state"], "applied");
  EXPECT_EQ(out["runtime_plan"].size(), 16u);
  EXPECT_GT(out["report"]["peak_bytes"].get<std::uint64_t>(), 0u);
}

TEST(CommandLine, PeakStaysWithinThePlan) {
  const CommandResult run =
      run_ollm(prompt_shipped("--json --file examples/contract.txt 'Who signed the contract?'"));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const Json out = Json::parse(run.out);
  EXPECT_LE(out["report"]["peak_bytes"].get<std::uint64_t>(),
            out["execution_plan"]["memory"]["peak_bytes"].get<std::uint64_t>());
}

TEST(CommandLine, PlanPrintsBothPlansAndLoadsNothing) {
  const CommandResult run = run_ollm("plan " + kShippedModel + " --json");
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const Json out = Json::parse(run.out);
  EXPECT_EQ(out["runtime_plan"]["backend_id"], "optimized-native");
  EXPECT_EQ(out["runtime_plan"]["specialization_state"], "planned");
  EXPECT_TRUE(out["execution_plan"]["fits"].get<bool>());
  const CommandResult missing = run_ollm("plan no-such-model --json");
  EXPECT_EQ(missing.exit_code, 0);
  EXPECT_TRUE(Json::parse(missing.out)["runtime_plan"]["backend_id"].is_null());
}

TEST(CommandLine, ScoreAndTokenizeAnswer) {
  const CommandResult score =
      run_ollm("score " + kShippedModel + " --ids 1,4,51,399 --json --quiet");
  ASSERT_EQ(score.exit_code, 0) << score.err;
  const Json row = Json::parse(score.out)["rows"][0];
  EXPECT_EQ(row["tokens"], 4);
  EXPECT_EQ(row["log_probs"].size(), 3u);
  const CommandResult ids =
      run_ollm("tokenize " + kShippedModel + " --jsonl", "{\"text\": \"Notes from\"}\nnonsense\n");
  ASSERT_EQ(ids.exit_code, 0) << ids.err;
  const std::size_t line = ids.out.find('\n');
  const Json first = Json::parse(ids.out.substr(0, line));
  EXPECT_TRUE(Json::parse(ids.out.substr(line + 1)).contains("error"));
  const CommandResult text =
      run_ollm("detokenize " + kShippedModel + " --jsonl", first.dump() + "\n");
  EXPECT_EQ(Json::parse(text.out)["text"], "Notes from");
}

struct Refusal {
  std::string arguments;
  int exit_code;
  std::string says;
};

TEST(CommandLine, BadInputGetsItsExitCodeAndAMessageThatNamesIt) {
  const std::vector<Refusal> refusals = {
      {"prompt --model no-such-model hi", 3, "no-such-model"},
      {prompt_shipped("--memroy 3GiB hi"), 2, "--memory"},
      {prompt_shipped("--memory -5 hi"), 2, "-5"},
      {prompt_shipped("--memory 1MiB hi"), 4, "MiB"},
      {prompt_shipped("--isa avx99 hi"), 2, "avx99"},
      {prompt_shipped("--ids 1,2,99999"), 2, "99999"},
      {prompt_shipped("--ids 1,x"), 2, "x"},
      {prompt_shipped("--ids 1,2 hi"), 2, "--ids"},
      {prompt_shipped("--raw --system s hi"), 2, "--raw"},
      {prompt_shipped("--raw ''"), 2, "empty"},
      {prompt_shipped("''"), 2, "empty"},
      {prompt_shipped("--file /dev/null"), 2, "empty"},
      {prompt_shipped("--raw --chat-template default hi"), 2, "--chat-template"},
      {prompt_shipped("--ids 1 --template-var a=b"), 2, "--template-var"},
      {prompt_shipped("--file no-such-file hi"), 3, "no-such-file"},
      {prompt_shipped("--temperature -1 hi"), 2, "temperature"},
      {prompt_shipped("--context 3 --file examples/contract.txt 'Who?'"), 2, "--context"},
      {"score " + kShippedModel, 2, "--ids"},
      {"plan --prompt-tokens -1 " + kShippedModel, 2, "--prompt-tokens"},
      {"plan tests/fixtures --json=x", 2, "--json"},
      {"prompt --ids 1 --model tests/fixtures", 3, "tests/fixtures: has no config.json"},
      {"plam", 2, "plan"},
      {"config shew", 2, "show"},
      {"config show --jsn", 2, "'ollm config show --help'"},
  };
  for (const Refusal& refusal : refusals) {
    const CommandResult run = run_ollm(refusal.arguments);
    EXPECT_EQ(run.exit_code, refusal.exit_code) << refusal.arguments << ": " << run.err;
    EXPECT_NE(run.err.find(refusal.says), std::string::npos)
        << refusal.arguments << ": " << run.err;
    EXPECT_EQ(run.out, "") << refusal.arguments;
  }
}

TEST(CommandLine, HelpAndVersionOnEveryLevel) {
  EXPECT_EQ(run_ollm("--help").exit_code, 0);
  const std::string version = run_ollm("--version").out;
  EXPECT_TRUE(version.starts_with("ollm ")) << version;
  for (const std::string command :
       {"prompt", "plan", "models", "models list", "models info", "models path", "score",
        "tokenize", "detokenize", "render", "config", "config show", "config limits", "doctor",
        "bench", "bench make", "bench run"}) {
    const CommandResult run = run_ollm(command + " --help");
    EXPECT_EQ(run.exit_code, 0) << command;
    EXPECT_NE(run.out.find("Usage: ollm " + command), std::string::npos) << command;
    const CommandResult asked = run_ollm(command + " --version");
    EXPECT_EQ(asked.exit_code, 0) << command;
    EXPECT_EQ(asked.out, version) << command;
  }
}

TEST(CommandLine, MinimumOfThePlanIsTheSmallestBudgetThatRuns) {
  const CommandResult planned =
      run_ollm("prompt --plan-json --ids 1,2,3 --max-new-tokens 5 --model " + kShippedModel);
  ASSERT_EQ(planned.exit_code, 0) << planned.err;
  const auto minimum =
      Json::parse(planned.out)["execution_plan"]["memory"]["minimum_bytes"].get<std::uint64_t>();
  const auto with = [&](std::uint64_t bytes) {
    return run_ollm(
               prompt_shipped("--ids 1,2,3 --max-new-tokens 5 --memory " + std::to_string(bytes)))
        .exit_code;
  };
  EXPECT_EQ(with(minimum), 0);
  EXPECT_EQ(with(minimum - (1 << 20)), 4);
}

}  // namespace
}  // namespace ollm::testing
