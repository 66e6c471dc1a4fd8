// Model folders as the field has them: what Transformers loads runs, what would change the answer
// is told or refused, and what is no model is called what it is.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ollm/io/temporary_folder.h"
#include "tests/end_to_end/run_command.h"
#include "tests/end_to_end/stored_tensors.h"
#include "tests/test_data.h"

namespace ollm::testing {
namespace {

using Json = nlohmann::ordered_json;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
namespace fs = std::filesystem;

constexpr const char* kFixture = "tests/fixtures/models/grouped-tied";
constexpr const char* kCommit = "0123456789abcdef0123456789abcdef01234567";

class FieldFolders : public ::testing::Test {
 protected:
  FieldFolders() : root_(fs::canonical(folder_.path())) {
    fs::create_directories(root_ / "m");
    for (const char* name : {"config.json", "generation_config.json", "model.safetensors"})
      fs::copy(fs::path(kFixture) / name, root_ / "m" / name);
  }

  CommandResult ollm(const std::string& arguments) {
    return run_ollm_at_home(root_.string(), arguments);
  }
  Json json(const std::string& arguments) {
    const CommandResult run = ollm(arguments);
    EXPECT_EQ(run.exit_code, 0) << arguments << run.err;
    return Json::parse(run.out, nullptr, false);
  }
  // The new ids of a short greedy run.
  Json ids(const std::string& model, const std::string& prompt = "1,5,9") {
    return json(
        fmt::format("prompt --quiet --json --model {} --ids {} --max-new-tokens 3 "
                    "--ignore-eos",
                    model, prompt))["ids"];
  }
  std::vector<std::string> decided(const std::string& model) {
    std::vector<std::string> out;
    const Json plan = json("plan --json " + model);
    for (const Json& decision : plan["execution_plan"]["decisions"])
      out.push_back(decision["what"]);
    return out;
  }
  void expect_refused(const std::string& model, int exit_code, const std::string& says) {
    const CommandResult run = ollm(fmt::format("prompt --model {} --ids 1,5,9", model));
    EXPECT_EQ(run.exit_code, exit_code) << run.err;
    EXPECT_THAT(run.err, HasSubstr(says));
    const Json plan = json("plan --json " + model);
    EXPECT_TRUE(plan["runtime_plan"]["backend_id"].is_null());
    EXPECT_THAT(plan["runtime_plan"]["reason"].get<std::string>(), HasSubstr(says));
  }
  // Puts the weights of m/ into two shards below `dir`, the tensors by turns, and returns the map
  // of an index that says so.
  Json split(const fs::path& dir, const std::string& below = "") {
    const std::vector<StoredTensor> all = read_stored_tensors(root_ / "m/model.safetensors");
    fs::create_directories(root_ / dir / below);
    fs::copy(root_ / "m/config.json", root_ / dir / "config.json");
    Json map = Json::object();
    for (std::size_t shard = 0; shard < 2; ++shard) {
      const std::string name = fmt::format("model-0000{}-of-00002.safetensors", shard + 1);
      std::vector<StoredTensor> half;
      for (std::size_t i = shard; i < all.size(); i += 2) {
        half.push_back(all[i]);
        map[all[i].name] = name;
      }
      folder_.write(dir / below / name, stored(half));
    }
    return map;
  }
  void index(const fs::path& dir, const Json& map) {
    folder_.write(dir / "model.safetensors.index.json",
                  Json{{"metadata", {{"total_size", 1}}}, {"weight_map", map}}.dump());
  }

  io::TemporaryFolder folder_;
  const fs::path root_;
};

// The project's own small copies of the forms, and those of others where they are.
TEST_F(FieldFolders, AnIndexThatDisagreesWithItsShardsIsLoadedByTheHeaders) {
  const Json expected = ids("m");
  const Json whole = split("whole");
  index("whole", whole);
  EXPECT_EQ(ids("whole"), expected);
  EXPECT_THAT(decided("whole"), Not(Contains("weights.index")));

  Json map = split("s1");
  map.erase(map.begin());
  index("s1", map);
  map = split("s2");
  map["nowhere.weight"] = map.front();
  index("s2", map);
  map = split("s3");
  std::swap(map.front(), map.back());
  index("s3", map);
  map = split("s5");
  for (Json& name : map) name = "./" + name.get<std::string>();
  index("s5", map);
  map = split("s6", "w");
  for (Json& name : map) name = "w/" + name.get<std::string>();
  index("s6", map);
  for (const char* form : {"s1", "s2", "s3", "s5", "s6"}) {
    EXPECT_EQ(ids(form), expected) << form;
    EXPECT_THAT(decided(form), Contains("weights.index")) << form;
  }
}

TEST_F(FieldFolders, ThoseOfOthersAreLoaded) {
  OLLM_NEED_TEST_DATA(data);
  if (!fs::exists(data / "field")) OLLM_WITHOUT_TEST_DATA("field");
  for (const char* form : {"s1", "s2", "s3", "s5", "s6"})
    EXPECT_EQ(ids((data / "field/index-disagrees" / form).string()), Json({108, 251, 30})) << form;
  const std::string strict = (data / "field/generation-config-strict/model").string();
  EXPECT_EQ(
      ollm(fmt::format("prompt --quiet --model {} Once --max-new-tokens 3", strict)).exit_code, 0);
  expect_refused((data / "field/adapter-ignored/model").string(), 2, "an adapter of 'x/y'");
}

TEST_F(FieldFolders, AGenerationConfigOutOfRangeMattersToNoGreedyRun) {
  const Json expected = ids("m");
  for (const char* text :
       {R"({"top_k":-1,"eos_token_id":2})", "no json", R"({"temperature":NaN})"}) {
    folder_.write("m/generation_config.json", text);
    EXPECT_EQ(ids("m"), expected) << text;
    EXPECT_EQ(ollm("score m --ids 1,5,9").exit_code, 0);
    EXPECT_THAT(decided("m"), Contains("generation_config"));
  }
}

TEST_F(FieldFolders, AGenerationConfigThatIsNoJsonSaysWhoseEndTokensCount) {
  folder_.write("m/generation_config.json", "{\"eos_token_id\": 261,}");
  const Json plan = json("plan --json ./m");
  EXPECT_THAT(plan.dump(), HasSubstr("those of config.json count"));
  EXPECT_THAT(ollm("prompt --model ./m --ids 1,2 --max-new-tokens 1").err,
              HasSubstr("those of config.json count"));
}

TEST_F(FieldFolders, LogitsAreNotWrittenOverWhatIsReadNorBesideResults) {
  const fs::path rows = folder_.write("rows.jsonl", "{\"id\":\"a\",\"ids\":[1,2]}\n");
  const CommandResult refused =
      ollm(fmt::format("score ./m --ids-file '{0}' --logits '{0}' --quiet", rows.string()));
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("is what is read"));
  const CommandResult file = ollm("score ./m --ids 1,2 --logits o.safetensors --quiet");
  ASSERT_EQ(file.exit_code, 0) << file.err;
  const CommandResult streamed = ollm(
      "score ./m --ids 1,2 --logits /dev/stdout --quiet > s.safetensors && cmp o.safetensors "
      "s.safetensors");
  EXPECT_EQ(streamed.exit_code, 0) << streamed.out << streamed.err;
  EXPECT_THAT(streamed.err, HasSubstr("2 tokens"));
}

TEST_F(FieldFolders, ATokenizerWithAByteOrderMarkIsRead) {
  fs::create_directories(root_ / "t");
  fs::copy("examples/models/clerk/tokenizer.json", root_ / "t/plain.json");
  EXPECT_EQ(run_shell(fmt::format("cd '{}/t' && (printf '\\357\\273\\277'; cat plain.json) > "
                                  "tokenizer.json && echo '{{}}' > tokenizer_config.json",
                                  root_.string()))
                .exit_code,
            0);
  const CommandResult run = run_shell(
      fmt::format("echo '{{\"text\":\"a\"}}' | \"$OLLM\" tokenize '{}/t' --jsonl", root_.string()));
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("\"ids\""));
}

TEST_F(FieldFolders, AnAdapterBesideTheWeightsIsRefused) {
  folder_.write("m/adapter_config.json", R"({"base_model_name_or_path":"x/y"})");
  expect_refused("./m", 2, "an adapter of 'x/y' lies beside the weights");
}

// What `huggingface-cli download --local-dir` of older clients left: weights linked into the cache.
TEST_F(FieldFolders, WeightsBehindALinkRunWithADecision) {
  const Json expected = ids("m");
  fs::create_directories(root_ / "hub/models--a--b/blobs");
  fs::rename(root_ / "m/model.safetensors", root_ / "hub/models--a--b/blobs/3f1c");
  fs::create_symlink(root_ / "hub/models--a--b/blobs/3f1c", root_ / "m/model.safetensors");
  EXPECT_EQ(ids("m"), expected);
  EXPECT_THAT(decided("m"), Contains("folder.links"));
}

TEST_F(FieldFolders, WhatIsNoModelIsCalledWhatItIs) {
  folder_.write("gg/model-q4.gguf", std::string("GGUF\3\0\0\0", 8));
  folder_.write("ad/adapter_config.json", R"({"peft_type":"LORA"})");
  for (const char* name : {"snapshots", "refs", "blobs"})
    fs::create_directories(root_ / "c" / name);
  expect_refused("gg", 2, "is in llama.cpp's format");
  expect_refused("ad", 3, "it is an adapter");
  expect_refused("c", 3, "is a model of the Hugging Face cache");
  expect_refused("./gg/model-q4.gguf", 2, "is a GGUF file");
  expect_refused("gg/model-q4.gguf", 2, "is a GGUF file");
  expect_refused("./m/model.safetensors", 2, "name its folder");
  expect_refused("./m/config.json", 2, "name its folder");
  expect_refused("/dev/null", 2, "is a device");
}

TEST_F(FieldFolders, AddressesAndFoldersOfTheCacheAreTheModel) {
  const Json expected = ids("m");
  const fs::path repository = root_ / "hub/models--org--name";
  fs::create_directories(repository / "snapshots");
  fs::rename(root_ / "m", repository / "snapshots" / kCommit);
  folder_.write("hub/models--org--name/refs/main", kCommit);
  for (const char* model : {"org/name", "https://huggingface.co/org/name/tree/main",
                            "hub/models--org--name", "models--org--name"})
    EXPECT_EQ(ids(model), expected) << model;
  expect_refused("org/other", 3, "hf download org/other");
}

TEST_F(FieldFolders, OddNamesEndNoListAndNoJson) {
  fs::create_directories(root_ / "models");
  fs::copy(root_ / "m", root_ / "models" / "bad\xff\x1b[31m\n");
  fs::create_symlink("nowhere", root_ / "models/dangling");
  fs::create_directories(root_ / "hub/models--");
  const Json list = json("models list --json --installed");
  ASSERT_EQ(list["models"].size(), 1u);
  EXPECT_EQ(list["models"][0]["runtime_plan"]["backend_id"], "optimized-native");
  const CommandResult plan = ollm("plan --json \"$(printf 'models/bad\\377\\033[31m\\n/.')\"");
  EXPECT_EQ(plan.exit_code, 2) << "control characters are refused when they are typed";
  fs::rename(root_ / "m", root_ / "m\xff");
  const CommandResult odd = ollm("plan --json \"$(printf './m\\377')\"");
  EXPECT_EQ(odd.exit_code, 0) << odd.err;
  EXPECT_TRUE(Json::accept(odd.out));
}

}  // namespace
}  // namespace ollm::testing
