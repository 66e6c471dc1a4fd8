// ollm bench: folders of random weights that repeat, and runs that print what they measured.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "ollm/io/temporary_folder.h"
#include "tests/end_to_end/run_command.h"

namespace ollm::testing {
namespace {

const char* const kConfig = R"({"architectures":["LlamaForCausalLM"],"model_type":"llama",
  "hidden_size":256,"intermediate_size":768,"num_hidden_layers":4,"num_attention_heads":4,
  "num_key_value_heads":2,"head_dim":64,"hidden_act":"silu","max_position_embeddings":8192,
  "rms_norm_eps":1e-5,"rope_theta":10000.0,"tie_word_embeddings":true,"vocab_size":4000})";

std::string content(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

class Bench : public ::testing::Test {
 protected:
  std::string make(const std::string& name, int seed) {
    const std::filesystem::path config = folder_.write("config.json", kConfig);
    const std::string out = (folder_.path() / name).string();
    const CommandResult made = run_ollm("bench make '" + config.string() + "' --seed " +
                                        std::to_string(seed) + " --out '" + out + "'");
    EXPECT_EQ(made.exit_code, 0) << made.err;
    return out;
  }

  const io::TemporaryFolder folder_;
};

TEST_F(Bench, EqualSeedsMakeEqualWeightsAndOthersDoNot) {
  const std::string one = content(make("one", 7) + "/model.safetensors");
  EXPECT_GT(one.size(), 5'000'000u);
  EXPECT_TRUE(one == content(make("again", 7) + "/model.safetensors"));
  EXPECT_FALSE(one == content(make("other", 8) + "/model.safetensors"));
}

TEST_F(Bench, RandomWeightsGiveFiniteLogitsThatAreApart) {
  const CommandResult run = run_ollm("score '" + make("model", 1) + "' --ids 1,2,3,4,5,6,7 --json");
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const nlohmann::json probabilities = nlohmann::json::parse(run.out)["rows"][0]["log_probs"];
  double least = 0, largest = -1e9;
  for (const double one : probabilities) {
    EXPECT_TRUE(std::isfinite(one));
    least = std::min(least, one);
    largest = std::max(largest, one);
  }
  EXPECT_GT(largest - least, 0.1);
}

TEST_F(Bench, ARunPrintsItsFiguresBesideTheLimits) {
  const std::string model = make("model", 1);
  const CommandResult streamed = run_ollm(
      "bench run '" + model + "' --memory 30MiB --case prefill-512,score-8 --rounds 2 --json");
  if (streamed.err.find("has no direct access") != std::string::npos)
    GTEST_SKIP() << "skipped: the folder for temporary files has no direct access: "
                 << streamed.err;
  ASSERT_EQ(streamed.exit_code, 0) << streamed.err;
  const nlohmann::json cases = nlohmann::json::parse(streamed.out)["cases"];
  ASSERT_EQ(cases.size(), 2u);
  for (const nlohmann::json& one : cases) {
    EXPECT_TRUE(one["streamed"]) << one["case"];
    for (const char* key : {"prefill_tokens_per_second", "disk_gigabytes_per_second",
                            "bare_reader_gigabytes_per_second", "share_of_bare_reader"}) {
      EXPECT_GT(one["measured"][key]["median"], 0) << key;
      EXPECT_LE(one["measured"][key]["least"], one["measured"][key]["largest"]) << key;
    }
  }
  const CommandResult sweeps =
      run_ollm("bench run '" + model + "' --case sweep-2 --rounds 1 --json");
  ASSERT_EQ(sweeps.exit_code, 0) << sweeps.err;
  for (const nlohmann::json& one : nlohmann::json::parse(sweeps.out)["cases"])
    for (const char* key : {"sweep_ms", "least_sweep_ms", "sweep_ratio"})
      EXPECT_GT(one["measured"][key]["median"], 0) << one["case"] << key;
  const CommandResult unknown = run_ollm("bench run '" + model + "' --case nothing");
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_NE(unknown.err.find("prefill-512"), std::string::npos) << unknown.err;
}

TEST_F(Bench, RecordedAnswersAreReplayed) {
  const std::string model = make("model", 1);
  nlohmann::json again = {{"name", "again"}, {"prompt", nlohmann::json::array()}};
  for (int i = 0; i < 60; ++i) again["prompt"].push_back(100 + i * 7 % 60);
  again["answer"] = again["prompt"];
  const std::string recorded = folder_.write("recorded.jsonl", again.dump() + "\n").string();
  const CommandResult run =
      run_ollm("bench lookup '" + model + "' --recorded '" + recorded + "' --speculate 8 --json");
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const nlohmann::json answers = nlohmann::json::parse(run.out)["answers"];
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(answers[0]["tokens"], 59);
  // A prompt that is said again is guessed, whatever the weights are.
  EXPECT_LT(answers[0]["sweeps"], 40);
  EXPECT_EQ(answers[1]["name"], "all");

  for (const char* wrong : {"", "{}", "[1]", R"({"name":"x","prompt":[],"answer":[1]})",
                            R"({"name":"x","prompt":[1],"answer":["a"]})"}) {
    const std::string path = folder_.write("wrong.jsonl", wrong).string();
    EXPECT_EQ(run_ollm("bench lookup '" + model + "' --recorded '" + path + "'").exit_code, 5)
        << wrong;
  }
  EXPECT_EQ(run_ollm("bench lookup '" + model + "' --recorded nothing").exit_code, 3);
  const std::string path =
      folder_.write("large.jsonl", R"({"name":"x","prompt":[4000],"answer":[1]})").string();
  EXPECT_EQ(run_ollm("bench lookup '" + model + "' --recorded '" + path + "'").exit_code, 2);
}

TEST_F(Bench, ShapesThatAreUnknownAreNamed) {
  const CommandResult run =
      run_ollm("bench make llama3-9B --out '" + (folder_.path() / "x").string() + "'");
  EXPECT_EQ(run.exit_code, 3);
  EXPECT_NE(run.err.find("llama3-8B"), std::string::npos) << run.err;
}

}  // namespace
}  // namespace ollm::testing
