// What bad references, broken folders and impossible plans get: the exit code of the contract and a
// message that helps.
#include <fmt/format.h>
#include <gtest/gtest.h>

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
namespace fs = std::filesystem;

class BadInput : public ::testing::Test {
 protected:
  BadInput() : root_(fs::canonical(folder_.path())) {
    for (const auto& entry : fs::directory_iterator(kShippedModel))
      if (entry.is_regular_file()) {
        fs::create_directories(root_ / "models/mine");
        fs::copy(entry.path(), root_ / "models/mine" / entry.path().filename());
      }
  }

  CommandResult ollm(const std::string& arguments) {
    return run_shell(fmt::format("cd '{0}' && HOME='{0}' HF_HUB_CACHE='{0}/hub' \"$OLLM\" {1}",
                                 root_.string(), arguments));
  }

  // By text, and by ids, which need no tokenizer: the same end.
  void expect_refused(const std::string& model, int exit_code,
                      const std::vector<std::string>& says) {
    for (const char* prompt : {"hi", "--ids 1,2,3"}) {
      const CommandResult run = ollm(fmt::format("prompt --model {} {}", model, prompt));
      EXPECT_EQ(run.exit_code, exit_code) << model << ": " << run.err;
      EXPECT_EQ(run.out, "") << model;
      for (const std::string& words : says)
        EXPECT_NE(run.err.find(words), std::string::npos) << words << "\n" << run.err;
    }
    // The plan of it is printed all the same, and says the same.
    const CommandResult plan = ollm(fmt::format("plan --json {}", model));
    EXPECT_EQ(plan.exit_code, 0) << plan.err;
    const Json planned = Json::parse(plan.out, nullptr, false);
    EXPECT_TRUE(planned["runtime_plan"]["backend_id"].is_null());
    EXPECT_TRUE(planned["execution_plan"].is_null());
    EXPECT_EQ(ollm(fmt::format("score {} --ids 1,2", model)).exit_code, exit_code);
  }

  io::TemporaryFolder folder_;
  const fs::path root_;
};

TEST_F(BadInput, AReferenceToNothingTellsTheNearestAliasAndWhereWasLooked) {
  expect_refused("lama3-1B-chat", 3,
                 {"lama3-1B-chat", "did you mean llama3-1B-chat?",
                  "looked in " + (root_ / "models/lama3-1B-chat").string()});
  expect_refused(
      "org/nothing", 3,
      {"org/nothing", (root_ / "models/org--nothing").string(), (root_ / "hub").string()});
  expect_refused("./nothing", 3, {(root_ / "nothing").string()});
  expect_refused("llama3-1B-chat", 3,
                 {"llama3-1B-chat", (root_ / "models/llama3-1B-chat").string()});
  EXPECT_EQ(ollm("prompt --model llama3-1B-chat@ hi").exit_code, 2);
  const CommandResult tokenize =
      run_shell(fmt::format("cd '{}' && \"$OLLM\" tokenize lama3-1B-chat --jsonl", root_.string()));
  EXPECT_EQ(tokenize.exit_code, 3);
  EXPECT_NE(tokenize.err.find("did you mean llama3-1B-chat?"), std::string::npos);
}

TEST_F(BadInput, MissingFilesAreThreeAndNamed) {
  fs::remove(root_ / "models/mine/model.safetensors");
  expect_refused("mine", 3, {"model.safetensors"});
  fs::remove(root_ / "models/mine/config.json");
  expect_refused("mine", 3, {"config.json"});
}

TEST_F(BadInput, WhatIsUnderstoodAndNotBuiltIsTwo) {
  const auto config = [&](const Json& patch) {
    std::ifstream in(fs::path(kShippedModel) / "config.json");
    Json whole = Json::parse(in);
    whole.update(patch);
    folder_.write("models/mine/config.json", whole.dump());
  };
  config({{"architectures", {"NemotronForCausalLM"}}, {"model_type", "nemotron"}});
  expect_refused("mine", 2, {"nemotron", "1 + weight"});
  config({{"architectures", {"StableLmForCausalLM"}},
          {"model_type", "stablelm"},
          {"qk_layernorm", true}});
  expect_refused("mine", 2, {"qk_layernorm", "not built"});
  config({{"model_type", "mine"}, {"auto_map", {{"AutoModel", "modeling.Mine"}}}});
  expect_refused("mine", 2, {"auto_map"});
  config({{"attention_secret", 3}});
  expect_refused("mine", 2, {"attention_secret"});
  EXPECT_EQ(ollm("prompt --quiet --max-new-tokens 2 --model mine --allow-config-key "
                 "attention_secret --ids 1,2")
                .exit_code,
            0);
}

TEST_F(BadInput, BrokenFilesAreFive) {
  folder_.write("models/mine/model.safetensors", "{}");
  expect_refused("mine", 5, {"model.safetensors"});
  folder_.write("models/mine/config.json", "{");
  expect_refused("mine", 5, {"config.json"});
}

TEST_F(BadInput, ABrokenRefOfTheCacheIsFive) {
  folder_.write("hub/models--org--name/refs/main", "no commit");
  expect_refused("org/name", 5, {"refs/main"});
}

TEST_F(BadInput, WhatWillNotFitIsFourAndStillAPlan) {
  const CommandResult plan = ollm("plan mine --json --memory 1MiB");
  ASSERT_EQ(plan.exit_code, 0) << plan.err;
  EXPECT_FALSE(Json::parse(plan.out)["execution_plan"]["fits"]);
  EXPECT_EQ(ollm("prompt --model mine --memory 1MiB hi").exit_code, 4);
}

TEST_F(BadInput, TextThatIsNotUtf8IsNamedAndAMarkIsPassedOver) {
  const std::string mark = "\xEF\xBB\xBF";
  folder_.write("plain", "Who?\n");
  folder_.write("mark", mark + "Who?\r\n");
  folder_.write("utf16", std::string("\xFF\xFEW\0h\0o\0", 8));
  folder_.write("utf16be", std::string("\0W\0h\0o\0?", 8));
  folder_.write("latin1", "caf\xE9 au lait");
  const std::string prompt = "prompt --quiet --max-new-tokens 2 --model mine ";
  const std::string answer = ollm(prompt + "--file plain 'x'").out;
  ASSERT_FALSE(answer.empty());
  EXPECT_EQ(ollm(prompt + "--file mark 'x'").out, answer);
  EXPECT_EQ(ollm(prompt + "- < mark").out, ollm(prompt + "- < plain").out);
  struct Case {
    std::string file, says;
  };
  for (const Case& one : {Case{"utf16", "is UTF-16"},
                          {"utf16be", "is UTF-16"},
                          {"latin1", "byte 0xE9 at offset 3"}}) {
    for (const std::string& command :
         {prompt + "--file " + one.file, prompt + "- < " + one.file,
          "score mine --file " + one.file, "score mine --ids-file " + one.file,
          prompt + "--chat-template ./" + one.file + " hi"}) {
      const CommandResult run = ollm(command);
      EXPECT_EQ(run.exit_code, 2) << command;
      EXPECT_NE(run.err.find(one.says), std::string::npos) << command << run.err;
      EXPECT_NE(run.err.find(command.find('<') == std::string::npos ? one.file : "standard input"),
                std::string::npos)
          << command << run.err;
    }
  }
  folder_.write("rows", mark + "{\"id\": 1, \"ids\": [1, 2]}\r\n{\"id\": 2, \"ids\": [3]}\r\n");
  EXPECT_EQ(ollm("score mine --quiet --ids-file rows").exit_code, 0);
  folder_.write("lines", mark + "{\"text\": \"a\"}\r\n{\"text\": \"a\"}\r\n");
  const std::string lines = ollm("tokenize mine --jsonl < lines").out;
  const std::size_t half = lines.size() / 2;
  EXPECT_EQ(lines.substr(0, half), lines.substr(half));
  EXPECT_NE(lines.find("ids"), std::string::npos);
}

TEST_F(BadInput, ControlCharactersOfFilesReachNoStreamOfWords) {
  const std::string evil = "\033]0;owned\a\033[2J\u009B31m\xFF";
  std::ifstream in(fs::path(kShippedModel) / "config.json");
  Json config = Json::parse(in);
  config["model_type"] = "evil\033[2J\u009B31m";
  config["architectures"] = {"Evil\033[2J\u009B31m"};
  folder_.write("models/mine/config.json", config.dump());
  folder_.write("evil.toml", "[runtime]\nno_such_\u009B = 1\n");
  folder_.write("evil.jinja", "{{ raise_exception('\033[2J\u009B31m') }}");
  fs::create_directories(root_ / "models" / ("odd\033[2J" + std::string("\u009B")));
  for (const std::string& command : std::vector<std::string>{
           "plan mine", "prompt --model mine hi", "prompt --model mine --ids 1 hi", "models list",
           "models info mine", "doctor", "config show --config evil.toml",
           "prompt --model mine --file './" + evil + "'", "plan './" + evil + "'",
           "score mine --ids-file './" + evil + "'", "prompt '--" + evil + "'", "'" + evil + "'",
           "plan --config './" + evil + "' mine",
           "prompt --chat-template evil.jinja --model '" + fs::absolute(kShippedModel).string() +
               "' hi"}) {
    const CommandResult run = ollm(command);
    const std::string all = run.out + run.err;
    EXPECT_FALSE(all.empty()) << command;
    for (const char* control : {"\033", "\a", "\u009B", "\xFF"})
      EXPECT_EQ(all.find(control), std::string::npos) << command << "\n" << all;
  }
}

TEST_F(BadInput, AMissingModelIsThreeForEveryCommandAndSaysWhereWasLooked) {
  for (const std::string command : {"prompt --model %s hi", "prompt --model %s --ids 1",
                                    "score %s --ids 1", "score %s --text a", "tokenize %s --jsonl",
                                    "detokenize %s --jsonl", "render %s --jsonl", "bench run %s"}) {
    for (const std::string model : {"./nothing", "nothing", "org/nothing", "llama3-1B-chat"}) {
      std::string whole = command;
      whole.replace(whole.find("%s"), 2, model);
      const CommandResult run = ollm(whole + " < /dev/null");
      EXPECT_EQ(run.exit_code, 3) << whole << run.err;
      EXPECT_EQ(run.out, "") << whole;
      EXPECT_NE(run.err.find(model.starts_with("./") ? "/nothing" : model), std::string::npos)
          << whole << run.err;
    }
  }
}

TEST_F(BadInput, PlanAndInfoOfWhatIsNotThereSayWhereWasLooked) {
  const std::string looked = "looked in " + (root_ / "models/nothing").string();
  for (const std::string command : {"plan nothing", "models info nothing"}) {
    const CommandResult run = ollm(command);
    EXPECT_EQ(run.exit_code, 0) << run.err;
    EXPECT_NE(run.out.find("It cannot run: "), std::string::npos) << run.out;
    EXPECT_NE(run.out.find(looked), std::string::npos) << run.out;
  }
}

TEST_F(BadInput, WithoutAFolderForTemporaryFilesTheDoctorSaysSo) {
  const CommandResult run = run_shell(
      fmt::format("cd '{}' && mkdir empty && TMPDIR=/no/such/folder \"$OLLM\" doctor --measure "
                  "--models-dir empty",
                  root_.string()));
  EXPECT_EQ(run.exit_code, 3) << run.err;
  EXPECT_NE(run.err.find("TMPDIR"), std::string::npos) << run.err;
}

TEST_F(BadInput, AStrategyThatThereIsNotIsTwo) {
  const CommandResult run = ollm("plan mine --kv-cache-strategy cold --no-specialization");
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_NE(run.err.find("quantized-cold-tier"), std::string::npos) << run.err;
}

}  // namespace
}  // namespace ollm::testing
