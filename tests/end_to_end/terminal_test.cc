// What a person sees: on a terminal, through a pipe, with a full disk.
#include "tests/end_to_end/terminal.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ollm/io/temporary_folder.h"
#include "tests/end_to_end/run_command.h"

namespace ollm::testing {
namespace {

using Json = nlohmann::ordered_json;

// The shipped model with a longer context, so that a run lasts until it is stopped.
class LongModel {
 public:
  LongModel() {
    std::filesystem::copy(kShippedModel, folder_.path());
    std::ifstream in(std::filesystem::path(kShippedModel) / "config.json");
    Json config = Json::parse(in);
    config["max_position_embeddings"] = 1'000'000;
    std::ofstream(folder_.path() / "config.json") << config.dump();
  }
  std::string name() const { return "'" + folder_.path().string() + "'"; }

  /// Writes text until somebody stops it.
  std::string writes(const std::string& more = "") const {
    return "\"$OLLM\" prompt --raw --ignore-eos --max-new-tokens 20000 --model " + name() + " " +
           more + " 'Notes from the'";
  }
  /// Reads a prompt for seconds before the first word.
  std::string reads(const std::string& more = "") const {
    std::ofstream document(folder_.path() / "document");
    for (int i = 0; i < 2'000; ++i) document << "words and words, ";
    return "\"$OLLM\" prompt --raw --isa scalar --threads 1 --prefill-chunk 16 --max-new-tokens 1 "
           "--model " +
           name() + " " + more + " --file '" + (folder_.path() / "document").string() + "'";
  }

 private:
  io::TemporaryFolder folder_;
};

std::string last_line(const std::string& text) {
  std::string whole = text;
  while (whole.ends_with('\n') || whole.ends_with('\r')) whole.pop_back();
  const std::size_t end = whole.rfind('\n');
  return end == std::string::npos ? whole : whole.substr(end + 1);
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

TEST(Terminal, CtrlCLeavesAWholeLineAndTheReportWithinASecond) {
  if (!Terminal::available()) GTEST_SKIP() << "skipped: there are no terminals here (/dev/pts)";
  const LongModel model;
  Terminal terminal(model.writes());
  ASSERT_TRUE(terminal.read_until("\r\n")) << terminal.text();  // the plan
  ASSERT_TRUE(terminal.read_until(" ")) << terminal.text();     // the first words
  const auto pressed = std::chrono::steady_clock::now();
  terminal.type("\x03");
  EXPECT_EQ(terminal.wait(), 130) << terminal.text();
  EXPECT_LT(seconds_since(pressed), 1);
  EXPECT_TRUE(terminal.text().ends_with("\r\n")) << terminal.text();
  EXPECT_TRUE(last_line(terminal.text()).starts_with("prefill ")) << terminal.text();
  EXPECT_EQ(terminal.text().find("error"), std::string::npos) << terminal.text();
}

TEST(Terminal, CtrlCStopsTheReadingOfAPromptAndWipesItsProgress) {
  if (!Terminal::available()) GTEST_SKIP() << "skipped: there are no terminals here (/dev/pts)";
  const LongModel model;
  Terminal terminal(model.reads());
  ASSERT_TRUE(terminal.read_until(" left\033[K\rprefill ")) << terminal.text();  // drawn over
  const auto pressed = std::chrono::steady_clock::now();
  terminal.type("\x03");
  EXPECT_EQ(terminal.wait(), 130) << terminal.text();
  EXPECT_LT(seconds_since(pressed), 1);
  EXPECT_TRUE(terminal.text().ends_with("\r\n")) << terminal.text();
  // After the last progress nothing but the wiping stands on its line.
  const std::size_t drawn = terminal.text().rfind(" left\033[K");
  EXPECT_NE(terminal.text().find("\r\033[K", drawn + 1), std::string::npos) << terminal.text();
}

TEST(Terminal, ErrorsAreColoredThereAndNowhereElse) {
  if (!Terminal::available()) GTEST_SKIP() << "skipped: there are no terminals here (/dev/pts)";
  const std::string colored = "\033[1;31merror:\033[m";
  const std::string refused = "\"$OLLM\" plan --no-such-flag";
  Terminal plain(refused);
  EXPECT_EQ(plain.wait(), 2);
  EXPECT_NE(plain.text().find(colored), std::string::npos) << plain.text();
  Terminal no_color("env NO_COLOR=1 " + refused);
  EXPECT_EQ(no_color.wait(), 2);
  EXPECT_EQ(no_color.text().find('\033'), std::string::npos) << no_color.text();
  Terminal empty("env NO_COLOR= " + refused);  // set but empty counts as not set
  EXPECT_EQ(empty.wait(), 2);
  EXPECT_NE(empty.text().find(colored), std::string::npos) << empty.text();
  Terminal dumb("env TERM=dumb " + refused);
  EXPECT_EQ(dumb.wait(), 2);
  EXPECT_EQ(dumb.text().find('\033'), std::string::npos) << dumb.text();
  const CommandResult elsewhere = run_shell(refused);
  EXPECT_EQ(elsewhere.exit_code, 2);
  EXPECT_EQ(elsewhere.err.find('\033'), std::string::npos) << elsewhere.err;
}

TEST(Terminal, ControlsInTheModelsTextAreShownAndElsewhereAreData) {
  if (!Terminal::available()) GTEST_SKIP() << "skipped: there are no terminals here (/dev/pts)";
  // Token 221 of the shipped model is the byte 0x1B.
  const std::string escapes =
      "\"$OLLM\" prompt --quiet --raw --ignore-eos --max-new-tokens 3 --logit-bias 221=1000 "
      "--model " +
      kShippedModel + " ";
  for (const std::string more : {"a", "--no-stream a"}) {
    Terminal terminal(escapes + more);
    EXPECT_EQ(terminal.wait(), 0) << terminal.text();
    EXPECT_EQ(terminal.text(), "\\x1b\\x1b\\x1b\r\n");
    EXPECT_EQ(run_shell(escapes + more).out, "\033\033\033\n");
  }
  Terminal shown(escapes + "--show-prompt \"$(printf 'a\\033[2Jb\\302\\233c')\"");
  EXPECT_EQ(shown.wait(), 0) << shown.text();
  EXPECT_EQ(shown.text().find('\033'), std::string::npos) << shown.text();
  EXPECT_NE(shown.text().find("a\\x1b[2Jb\\x9bc"), std::string::npos) << shown.text();
}

TEST(Terminal, NoPromptIsAQuestionOfUsageThere) {
  if (!Terminal::available()) GTEST_SKIP() << "skipped: there are no terminals here (/dev/pts)";
  Terminal terminal("\"$OLLM\" prompt --model " + kShippedModel);
  EXPECT_EQ(terminal.wait(), 2);
  EXPECT_NE(terminal.text().find("no prompt: give PROMPT"), std::string::npos) << terminal.text();
}

TEST(Output, PlanAndReportAreALineEachAroundTheAnswerAndHaveNoEscapes) {
  const CommandResult run =
      run_ollm("prompt --ids 1,4,51 --max-new-tokens 4 --model " + kShippedModel);
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_TRUE(run.err.starts_with("plan: load ")) << run.err;
  EXPECT_TRUE(last_line(run.err).starts_with("prefill 3 tokens (0 cached) at ")) << run.err;
  EXPECT_EQ(std::count(run.err.begin(), run.err.end(), '\n'), 2) << run.err;
  EXPECT_EQ((run.out + run.err).find('\033'), std::string::npos);
}

TEST(Output, QuietTellsNothingButTheAnswerAndVerboseThePlan) {
  const std::string prompt = "prompt --ids 1,4,51 --max-new-tokens 4 --model " + kShippedModel;
  const CommandResult normal = run_ollm(prompt), quiet = run_ollm(prompt + " --quiet"),
                      verbose = run_ollm(prompt + " --verbose");
  EXPECT_EQ(quiet.err, "");
  EXPECT_EQ(quiet.out, normal.out);
  EXPECT_EQ(verbose.out, normal.out);
  const CommandResult plan =
      run_ollm("plan " + kShippedModel + " --max-new-tokens 4 --prompt-tokens 3");
  ASSERT_FALSE(plan.out.empty());
  EXPECT_TRUE(verbose.err.starts_with(plan.out.substr(0, plan.out.find('\n')))) << verbose.err;
  EXPECT_TRUE(last_line(verbose.err).starts_with("prefill 3 tokens")) << verbose.err;
}

TEST(Output, JsonIsOneObjectAndNothingElseOnStandardOutput) {
  const std::string model = " " + kShippedModel + " ";
  for (const std::string& command :
       std::vector<std::string>{"prompt --json --max-new-tokens 4 hi --model" + model,
                                "prompt --json --verbose --max-new-tokens 4 hi --model" + model,
                                "prompt --plan-json hi --model" + model, "plan --json" + model,
                                "plan --json no-such-model", "score --json --ids 1,4,51" + model,
                                "config show --json"}) {
    const CommandResult run = run_ollm(command);
    EXPECT_EQ(run.exit_code, 0) << command << run.err;
    EXPECT_TRUE(run.out.starts_with("{")) << command;
    EXPECT_TRUE(run.out.ends_with("}\n")) << command;
    EXPECT_TRUE(Json::parse(run.out, nullptr, false).is_object()) << command << run.out;
  }
}

TEST(Output, ClosedPipeEndsQuietlyAndSoon) {
  const LongModel model;
  // The shell's number for a program that SIGPIPE ended is 128 + 13.
  const std::string status = "; echo \"status $?\" >&2; } | head -c 5";
  const CommandResult run = run_shell("{ " + model.writes("--quiet") + status);
  EXPECT_EQ(run.out.size(), 5u);
  EXPECT_EQ(run.err, "status 141\n");
  const CommandResult ignored = run_shell("trap '' PIPE; { " + model.writes() + status);
  EXPECT_EQ(ignored.out.size(), 5u);
  EXPECT_TRUE(ignored.err.starts_with("plan: ")) << ignored.err;
  EXPECT_EQ(last_line(ignored.err), "status 141") << ignored.err;
  EXPECT_EQ(std::count(ignored.err.begin(), ignored.err.end(), '\n'), 2) << ignored.err;
  const CommandResult json =
      run_shell("{ \"$OLLM\" plan --json " + kShippedModel + "; echo \"status $?\" >&2; } | true");
  EXPECT_EQ(json.out, "");
  EXPECT_TRUE(json.err == "status 141\n" || json.err == "status 0\n") << json.err;
}

TEST(Output, AClosedStreamIsNoOtherFilesDescriptor) {
  io::TemporaryFolder folder;
  const std::string score = "cd '" + folder.path().string() + "' && \"$OLLM\" score '" +
                            std::filesystem::absolute(kShippedModel).string() +
                            "' --ids 1,4,51 --logits ";
  ASSERT_EQ(run_shell(score + "whole").exit_code, 0);
  const CommandResult closed = run_shell(score + "closed >&-");
  EXPECT_EQ(closed.exit_code, 5) << closed.err;
  EXPECT_NE(closed.err.find("standard output could not be written"), std::string::npos)
      << closed.err;
  EXPECT_EQ(run_shell(score + "no_words 2>&-").exit_code, 0);
  EXPECT_EQ(run_shell(score + "no_input <&-").exit_code, 0);
  for (const std::string name : {"closed", "no_words", "no_input"})
    EXPECT_EQ(run_shell("cd '" + folder.path().string() + "' && cmp whole " + name).exit_code, 0)
        << name;
}

TEST(Output, FullDiskIsAnError) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "skipped: no /dev/full";
  for (const std::string& command : std::vector<std::string>{
           "prompt --quiet --ids 1,4,51 --max-new-tokens 4 --model " + kShippedModel,
           "prompt --quiet --json --ids 1,4,51 --max-new-tokens 4 --model " + kShippedModel,
           "plan " + kShippedModel, "config show --json", "--help"}) {
    const CommandResult run = run_ollm(command + " > /dev/full");
    EXPECT_EQ(run.exit_code, 5) << command;
    EXPECT_TRUE(run.err.starts_with("ollm: error: standard output")) << command << run.err;
  }
}

}  // namespace
}  // namespace ollm::testing
