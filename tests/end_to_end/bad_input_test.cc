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
  config({{"architectures", {"GemmaForCausalLM"}}, {"model_type", "gemma"}});
  expect_refused("mine", 2, {"gemma"});
  config({{"architectures", {"Gemma3ForCausalLM"}}, {"model_type", "gemma3_text"}});
  expect_refused("mine", 2, {"gemma3-native", "not built yet"});
  config({{"auto_map", {{"AutoModel", "modeling.Mine"}}}});
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

TEST_F(BadInput, AStrategyThatThePlanCannotHaveIsTwo) {
  const CommandResult run = ollm("plan mine --kv-cache-strategy paged --no-specialization");
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_NE(run.err.find("paged"), std::string::npos) << run.err;
}

}  // namespace
}  // namespace ollm::testing
