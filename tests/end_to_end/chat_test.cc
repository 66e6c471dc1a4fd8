// ollm chat as a person has it: typing, pasting, stopping, coming back.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "ollm/io/temporary_folder.h"
#include "tests/end_to_end/run_command.h"
#include "tests/end_to_end/terminal.h"

namespace ollm::testing {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;
namespace fs = std::filesystem;

constexpr const char* kInterrupt = "\x03";
constexpr const char* kPrompt = "user> ";

class Chat : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!Terminal::available()) GTEST_SKIP() << "the system gives no terminals here";
  }
  std::string command(const std::string& more = "") const {
    return fmt::format("\"$OLLM\" chat --model {} --cache-dir '{}/cache' --max-new-tokens 8 {}",
                       kShippedModel, folder_.path().string(), more);
  }
  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }
  Json read(const std::string& name) const {
    std::ifstream file(path(name));
    return Json::parse(file, nullptr, false);
  }
  // A line, and what is answered up to the next prompt.
  static void say(Terminal& terminal, const std::string& line, const std::string& answer) {
    terminal.type(line + "\r");
    EXPECT_TRUE(terminal.read_until(answer)) << terminal.text();
    EXPECT_TRUE(terminal.read_until(kPrompt)) << terminal.text();
  }

  const io::TemporaryFolder folder_;
};

TEST_F(Chat, TalksAndKeepsWhatWasSaid) {
  Terminal terminal(command("--save '" + path("talk.json") + "' --system 'Be brief.'"));
  ASSERT_TRUE(terminal.read_until("oLLM chat using")) << terminal.text();
  ASSERT_TRUE(terminal.read_until(kPrompt));
  say(terminal, "Who signed the contract?", "assistant> ");
  say(terminal, "And when?", "assistant> ");
  say(terminal, "/stats", "messages=4");
  say(terminal, "/plan", "Memory");
  say(terminal, "/system", "Be brief.");
  say(terminal, "/undo", "Removed the last user/assistant exchange.");
  say(terminal, "/undo", "Removed the last user/assistant exchange.");
  say(terminal, "/undo", "no question with an answer");
  say(terminal, "Still here?", "assistant> ");
  say(terminal, "/retry", "assistant> ");
  say(terminal, "/", "unknown slash command");
  say(terminal, "/image x.png", "reads no images");
  say(terminal, "/save", "needs PATH");
  say(terminal, "/help", "/clear-attachments");
  terminal.type("/exit\r");
  EXPECT_TRUE(terminal.read_until("Exiting chat."));
  EXPECT_EQ(terminal.wait(), 0) << terminal.text();
  const Json saved = read("talk.json");
  EXPECT_EQ(saved["version"], 2);
  EXPECT_EQ(saved["system_prompt"], "Be brief.");
  ASSERT_EQ(saved["messages"].size(), 2U);
  EXPECT_EQ(saved["messages"][0]["content"],
            Json::parse(R"([{"type":"text","value":"Still here?"}])"));
  EXPECT_EQ(fs::status(path("talk.json")).permissions(),
            fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(Chat, GoesOnAnotherDayFromWhatIsStored) {
  {
    Terminal terminal(command("--save '" + path("talk.json") + "'"));
    ASSERT_TRUE(terminal.read_until(kPrompt)) << terminal.text();
    // Whole blocks are stored, of 128 tokens.
    std::string question;
    for (int i = 0; i < 40; ++i) question += "Remember this. ";
    say(terminal, question, "assistant> ");
    terminal.type("\x04");
    EXPECT_EQ(terminal.wait(), 0) << terminal.text();
  }
  Terminal terminal(command("--resume '" + path("talk.json") + "'"));
  ASSERT_TRUE(terminal.read_until(kPrompt)) << terminal.text();
  terminal.type("What was it?\r");
  ASSERT_TRUE(terminal.read_until("(")) << terminal.text();
  ASSERT_TRUE(terminal.read_until(" cached)"));
  const std::size_t end = terminal.text().rfind(" cached)");
  const std::size_t begin = terminal.text().rfind('(', end) + 1;
  EXPECT_GT(std::atoi(terminal.text().c_str() + begin), 100) << terminal.text();
  ASSERT_TRUE(terminal.read_until(kPrompt));
  terminal.type("/exit\r");
  EXPECT_EQ(terminal.wait(), 0);
  EXPECT_EQ(read("talk.json")["messages"].size(), 4U);
}

TEST_F(Chat, WhatIsTypedBeforeAPromptIsReadAtIt) {
  // While the model loads the terminal still takes whole lines; the last key ends the chat as it
  // would at a prompt, though the terminal took it for the end of a line.
  Terminal terminal(command("--system 'Be brief.'"));
  terminal.type("Who signed the contract?\r/stats\r\x04");
  EXPECT_TRUE(terminal.read_until("messages=2")) << terminal.text();
  EXPECT_TRUE(terminal.read_until("Exiting chat.")) << terminal.text();
  EXPECT_EQ(terminal.wait(), 0);
}

TEST_F(Chat, APasteOfSeveralLinesIsOneMessage) {
  Terminal terminal(command("--save '" + path("talk.json") + "'"));
  ASSERT_TRUE(terminal.read_until(kPrompt)) << terminal.text();
  terminal.type("Sum up: \033[200~first line\rsecond \xc3\xa4 line\r\tthird\033[201~");
  ASSERT_TRUE(terminal.read_until("[paste 1: 3 lines]")) << terminal.text();
  terminal.type(" please\r");
  ASSERT_TRUE(terminal.read_until("assistant> ")) << terminal.text();
  ASSERT_TRUE(terminal.read_until(kPrompt));
  terminal.type("\033[200~one line alone\033[201~\r");
  ASSERT_TRUE(terminal.read_until("assistant> ")) << terminal.text();
  ASSERT_TRUE(terminal.read_until(kPrompt));
  terminal.type("/exit\r");
  EXPECT_EQ(terminal.wait(), 0) << terminal.text();
  const Json saved = read("talk.json");
  EXPECT_EQ(saved["messages"][0]["content"][0]["value"],
            "Sum up: first line\nsecond \xc3\xa4 line\n\tthird please");
  EXPECT_EQ(saved["messages"][2]["content"][0]["value"], "one line alone");
}

TEST_F(Chat, CtrlCStopsTheAnswerAndNotTheChat) {
  Terminal terminal(
      command("--max-new-tokens 3500 --ignore-eos --save '" + path("talk.json") + "'"));
  ASSERT_TRUE(terminal.read_until(kPrompt)) << terminal.text();
  terminal.type("Tell me everything\r");
  ASSERT_TRUE(terminal.read_until("assistant> ")) << terminal.text();
  terminal.type(kInterrupt);
  ASSERT_TRUE(terminal.read_until("(stopped)")) << terminal.text();
  ASSERT_TRUE(terminal.read_until(kPrompt));
  terminal.type("half a line");
  ASSERT_TRUE(terminal.read_until("half a line"));
  terminal.type(kInterrupt);  // throws it away
  ASSERT_TRUE(terminal.read_until(kPrompt)) << terminal.text();
  terminal.type(kInterrupt);
  EXPECT_TRUE(terminal.read_until("Exiting chat.")) << terminal.text();
  EXPECT_EQ(terminal.wait(), 0);
  EXPECT_EQ(read("talk.json")["messages"].size(), 2U);
}

TEST_F(Chat, KeepsWhatWasTypedForTheNextOne) {
  const std::string history = " --history-file '" + path("sub/history") + "'";
  {
    Terminal terminal(command(history));
    ASSERT_TRUE(terminal.read_until(kPrompt)) << terminal.text();
    say(terminal, "A question of yesterday", "assistant> ");
    terminal.type("/exit\r");
    EXPECT_EQ(terminal.wait(), 0);
  }
  EXPECT_EQ(fs::status(path("sub/history")).permissions(),
            fs::perms::owner_read | fs::perms::owner_write);
  Terminal terminal(command(history));
  ASSERT_TRUE(terminal.read_until(kPrompt)) << terminal.text();
  terminal.type("\033[A\033[A");  // up, past /exit
  EXPECT_TRUE(terminal.read_until("A question of yesterday")) << terminal.text();
  terminal.type(kInterrupt);
  ASSERT_TRUE(terminal.read_until(kPrompt));
  terminal.type("\x04");
  EXPECT_EQ(terminal.wait(), 0);
}

TEST_F(Chat, WantsATerminalAndATranscriptThatIsOne) {
  EXPECT_EQ(run_shell(command(), "hello\n").exit_code, 2);
  EXPECT_EQ(run_shell(command("--plan-json")).exit_code, 0);
  std::ofstream(path("old.json")) << R"({"version": 1, "messages": []})";
  std::ofstream(path("torn.json")) << R"({"version": 2, "messages": [)";
  for (const auto& [file, code] :
       {std::pair("old.json", 2), std::pair("torn.json", 5), std::pair("none.json", 3)}) {
    Terminal terminal(command("--resume '" + path(file) + "'"));
    EXPECT_EQ(terminal.wait(), code) << terminal.text();
  }
}

}  // namespace
}  // namespace ollm::testing
