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
      {prompt_shipped("--file= hi"), 2, "--file: expected path"},
      {prompt_shipped("--file a --file b hi"), 2, "--file takes one value"},
      {prompt_shipped("--system --json hi"), 2, "--system=--json"},
      {prompt_shipped("hi --stop"), 2, "--stop needs a value"},
      {prompt_shipped("--max-new 3 hi"), 2, "--max-new"},
      {prompt_shipped("--stream=banana hi"), 2, "'banana'"},
      {"--quiet prompt hi", 2, "ollm prompt --quiet"},
      {"plan --sequences 0 " + kShippedModel, 2, "from 1 to 65536"},
      {"plan --config= " + kShippedModel, 2, "--config"},
      {"plan --prompt-tokens= " + kShippedModel, 2, "--prompt-tokens"},
      {"score --ids 1 --logits= " + kShippedModel, 2, "--logits"},
      {"man ''", 2, "FOLDER"},
      {"models", 2, "list, info, path"},
      {"models --json list", 2, "ollm models list --json"},
      {"config shew", 2, "unknown command 'shew' (did you mean show?)"},
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
       {"prompt",        "plan",     "models",     "models list",  "models info", "models path",
        "score",         "tokenize", "detokenize", "render",       "config",      "config show",
        "config limits", "cache",    "cache list", "cache verify", "cache prune", "cache clear",
        "doctor",        "bench",    "bench make", "bench run",    "chat",        "serve"}) {
    const CommandResult run = run_ollm(command + " --help");
    EXPECT_EQ(run.exit_code, 0) << command;
    EXPECT_NE(run.out.find("Usage: ollm " + command), std::string::npos) << command;
    const CommandResult asked = run_ollm(command + " --version");
    EXPECT_EQ(asked.exit_code, 0) << command;
    EXPECT_EQ(asked.out, version) << command;
  }
}

TEST(CommandLine, OptionsThatMayBeRepeatedLeaveThePromptAlone) {
  const std::string plain = run_ollm(prompt_shipped("--max-new-tokens 4 'Who signed?'")).out;
  ASSERT_FALSE(plain.empty());
  for (const std::string option :
       {"--stop nowhere", "--stop=[a,b]", "--logit-bias 0=-1", "--logit-bias=0=-1",
        "--template-var a=1", "--allow-config-key use_mrope", "--allow-config-key a --stop b"}) {
    const CommandResult run =
        run_ollm(prompt_shipped("--max-new-tokens 4 " + option + " 'Who signed?'"));
    EXPECT_EQ(run.exit_code, 0) << option << run.err;
    EXPECT_EQ(run.out, plain) << option;
  }
  const CommandResult plan = run_ollm("plan --allow-config-key use_mrope " + kShippedModel);
  EXPECT_EQ(plan.exit_code, 0) << plan.err;
  EXPECT_TRUE(plan.out.starts_with(kShippedModel)) << plan.out;
  const CommandResult score = run_ollm("score --ids 1,2 --allow-config-key a " + kShippedModel);
  EXPECT_EQ(score.exit_code, 0) << score.err;
  const CommandResult bench = run_ollm("bench run --case nothing no-such-model");
  EXPECT_NE(bench.err.find("no case 'nothing'"), std::string::npos) << bench.err;
}

TEST(CommandLine, TwoDashesEndTheOptionsOfEveryCommand) {
  for (const std::string prompt : {"-x", "--x", "--", "--max-new-tokens", "--help", "-1", "a"}) {
    const CommandResult run = run_ollm(prompt_shipped("--max-new-tokens 1 -- '" + prompt + "'"));
    EXPECT_EQ(run.exit_code, 0) << prompt << run.err;
    EXPECT_FALSE(run.out.empty()) << prompt;
  }
  for (const std::string command : {"plan", "models info", "models path", "score --ids 1"}) {
    const CommandResult run = run_ollm(command + " -- " + kShippedModel);
    EXPECT_EQ(run.exit_code, 0) << command << run.err;
    EXPECT_NE(run.out.find(command.starts_with("score") ? "1 tokens" : "clerk"), std::string::npos)
        << command << run.out;
  }
  const CommandResult text = run_ollm("tokenize --jsonl -- " + kShippedModel, "{\"text\": \"a\"}");
  EXPECT_NE(text.out.find("ids"), std::string::npos) << text.err;
  const CommandResult refused = run_ollm(prompt_shipped("-x"));
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_NE(refused.err.find("behind --: ollm prompt -- '-x'"), std::string::npos) << refused.err;
}

TEST(CommandLine, HelpIsACommandToo) {
  const auto out = [](const std::string& arguments) {
    const CommandResult run = run_ollm(arguments);
    EXPECT_EQ(run.exit_code, 0) << arguments << run.err;
    return run.out;
  };
  EXPECT_EQ(out("help"), out("--help"));
  for (const std::string command : {"prompt", "models", "models list", "config show", "help"}) {
    const std::string help = out(command + " --help");
    EXPECT_EQ(out("help " + command), help);
    EXPECT_EQ(out("--help " + command), help);
    EXPECT_EQ(out(command + " -h"), help);
    EXPECT_NE(help.find("Usage: ollm " + command), std::string::npos) << help;
    EXPECT_EQ(out(command + " -V"), out("--version"));
  }
  EXPECT_EQ(out("models help list"), out("models list --help"));
  const CommandResult unknown = run_ollm("help promt");
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_NE(unknown.err.find("did you mean prompt?"), std::string::npos) << unknown.err;
}

TEST(CommandLine, HelpShowsChoicesDefaultsAndWhatIsNotBuilt) {
  const std::string help = run_ollm("prompt --help").out;
  for (const std::string words :
       {"default: 500", "default: cpu", "one of: bf16, f32, auto", "default: true",
        "refused for cuda: this build computes on the CPU alone",
        "refused: this build runs no adapters", "no effect: this build downloads nothing"}) {
    EXPECT_NE(help.find(words), std::string::npos) << words << "\n" << help;
  }
  EXPECT_EQ(help.find("{false}"), std::string::npos);
  EXPECT_NE(run_ollm("plan --help").out.find("default: llama3-1B-chat"), std::string::npos);
}

TEST(CommandLine, UnknownVariablesAreToldAndNothingElseChanges) {
  const std::string command = " \"$OLLM\" plan --json " + kShippedModel;
  const CommandResult plain = run_shell(command), told = run_shell("OLLM_MEMORY=3GiB" + command);
  EXPECT_EQ(plain.err, "");
  EXPECT_EQ(told.exit_code, 0);
  EXPECT_EQ(told.err,
            "ollm: warning: OLLM_MEMORY: nothing reads this variable; did you mean "
            "OLLM_RUNTIME__MEMORY?\n");
  EXPECT_TRUE(Json::parse(told.out, nullptr, false).is_object());
  EXPECT_EQ(run_shell("OLLM_MEMORY=3GiB" + command + " --quiet").err, "");
  EXPECT_EQ(run_shell("OLLM_NOW=2026-01-15T10:30:00 OLLM_API_KEY=x OLLM_TEST_DATA=x" + command).err,
            "");
}

TEST(CommandLine, WhatLeavesASamplingSettingWithoutEffectIsTold) {
  const std::string model = "prompt --ids 1,4,51 --max-new-tokens 2 --model " + kShippedModel + " ";
  const auto warning = [&](const std::string& flags, const std::string& variables = "") {
    const CommandResult run = run_shell(variables + " \"$OLLM\" " + model + flags);
    EXPECT_EQ(run.exit_code, 0) << flags << run.err;
    const std::size_t at = run.err.find("ollm: warning: ");
    return at == std::string::npos ? "" : run.err.substr(at, run.err.find('\n', at) - at);
  };
  const std::string begin =
      "ollm: warning: at temperature 0 the best token is always taken, "
      "nothing is drawn: ";
  EXPECT_EQ(warning("--temperature 0 --top-p 0.5"), begin + "top_p has no effect");
  EXPECT_EQ(warning("--temperature 0 --top-k 5 --min-p 0.1 --typical-p 0.5 --seed 3"),
            begin + "top_k, min_p, typical_p, seed have no effect");
  EXPECT_EQ(warning("--seed 3"), begin + "seed has no effect");
  EXPECT_EQ(warning("--top-p 0.5", "OLLM_GENERATION__TEMPERATURE=0"),
            begin + "top_p has no effect");
  EXPECT_EQ(warning("--temperature 0 --top-p 0.5 --quiet"), "");
  for (const std::string flags :
       {"", "--temperature 0", "--top-p 0.5 --seed 3", "--temperature 0.5 --top-k 5 --seed 3",
        "--model-defaults", "--model-defaults --seed 3"})
    EXPECT_EQ(warning(flags), "") << flags;
  EXPECT_EQ(warning("--model-defaults", "OLLM_GENERATION__TEMPERATURE=0.5"), "");
  const CommandResult both = run_ollm(model + "--model-defaults --top-p 0.5");
  EXPECT_EQ(both.exit_code, 2);
  EXPECT_NE(both.err.find("--top-p"), std::string::npos) << both.err;
}

TEST(CommandLine, APlanWithoutAPromptTimesAPromptThatFillsTheContext) {
  const auto estimate = [](const std::string& flags) {
    const CommandResult run = run_ollm("plan --json " + kShippedModel + flags);
    EXPECT_EQ(run.exit_code, 0) << run.err;
    return Json::parse(run.out)["execution_plan"]["estimate"];
  };
  const Json assumed = estimate(""), given = estimate(" --prompt-tokens 4096");
  EXPECT_EQ(assumed, given);
  EXPECT_EQ(estimate(" --max-new-tokens 96"),
            estimate(" --prompt-tokens 4000 --max-new-tokens 96"));
  EXPECT_NEAR(assumed["time_to_first_token_s"].get<double>(),
              4096 / assumed["prefill_tokens_per_second"].get<double>(), 1e-6);
  const std::string words = run_ollm("plan " + kShippedModel).out;
  EXPECT_NE(words.find("for a prompt of 4096 tokens (assumed: it fills the context)"),
            std::string::npos)
      << words;
  EXPECT_NE(run_ollm("plan --context 64 " + kShippedModel).out.find("a prompt of 64 tokens"),
            std::string::npos);
}

TEST(CommandLine, NoStreamPrintsATextWithAZeroByteWhole) {
  // Token 194 of the shipped model is the byte 0.
  const std::string zeros =
      prompt_shipped("--raw --ignore-eos --max-new-tokens 3 --logit-bias 194=1000 a");
  EXPECT_EQ(run_ollm(zeros).out, std::string("\0\0\0\n", 4));
  EXPECT_EQ(run_ollm(zeros + " --no-stream").out, std::string("\0\0\0\n", 4));
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
