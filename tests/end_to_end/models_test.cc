// ollm models list | info | path, doctor and config limits, as a user meets them.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ollm/io/temporary_folder.h"
#include "tests/end_to_end/run_command.h"
#include "tests/schema.h"

namespace ollm::testing {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr const char* kCommit = "0123456789abcdef0123456789abcdef01234567";

// A home with the shipped model in the models folder, and in the hub's cache as the hub lays it
// out: a snapshot of links to blobs.
class Home : public ::testing::Test {
 protected:
  Home() : root_(fs::canonical(folder_.path())) {
    copy_model(root_ / "models/mine");
    const fs::path repository = root_ / "hub/models--org--clerk";
    copy_model(repository / "blobs");
    fs::create_directories(repository / "snapshots" / kCommit);
    for (const auto& entry : fs::directory_iterator(repository / "blobs")) {
      const fs::path name = entry.path().filename();
      fs::create_symlink(fs::path("../../blobs") / name, repository / "snapshots" / kCommit / name);
    }
    folder_.write("hub/models--org--clerk/refs/main", kCommit);
  }

  static void copy_model(const fs::path& to) {
    fs::create_directories(to);
    for (const auto& entry : fs::directory_iterator(kShippedModel))
      if (entry.is_regular_file()) fs::copy(entry.path(), to / entry.path().filename());
  }

  CommandResult ollm(const std::string& arguments) {
    return run_ollm_at_home(root_.string(), arguments);
  }
  Json json(const std::string& arguments) {
    const CommandResult run = ollm(arguments);
    EXPECT_EQ(run.exit_code, 0) << arguments << run.err;
    EXPECT_EQ(run.err, "") << arguments;
    return Json::parse(run.out, nullptr, false);
  }

  io::TemporaryFolder folder_;
  const fs::path root_;
};

TEST_F(Home, ListHasAliasesFoldersAndTheCache) {
  const Json list = json("models list --json");
  expect_valid("models_list", list, "models list");
  std::vector<std::string> installed;
  for (const Json& model : list["models"])
    if (model["materialized"]) installed.push_back(model["model_reference"]);
  EXPECT_EQ(list["models"].size(), 9u);
  EXPECT_EQ(installed, (std::vector<std::string>{"org/clerk", (root_ / "models/mine").string()}));
  const Json only = json("models list --json --installed");
  EXPECT_EQ(only["models"].size(), 2u);
  EXPECT_EQ(only["models"][0]["runtime_plan"].size(), 16u);

  const CommandResult text = ollm("models list --installed");
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_EQ(text.out.find("org/clerk [discovered-hub-cache] - optimized - "), 0u) << text.out;
  EXPECT_NE(text.out.find("models/mine [discovered-local] - optimized - "), std::string::npos);
}

TEST_F(Home, ListTakesTheOverridesOfAPlan) {
  const Json list = json("models list --json --installed --no-specialization");
  for (const Json& model : list["models"]) {
    EXPECT_EQ(model["runtime_plan"]["backend_id"], "native-generic");
    EXPECT_EQ(model["support_level"], "generic");
    EXPECT_EQ(model["resolved_support_level"], "generic");
  }
  EXPECT_EQ(json("models list --json --installed --models-dir nowhere")["models"].size(), 1u);
}

TEST_F(Home, InfoIsTheMergedPayload) {
  for (const char* reference : {"mine", "org/clerk", "llama3-1B-chat", "nothing", "org/nothing"}) {
    const Json info = json(fmt::format("models info --json {}", reference));
    expect_valid("model_info", info, reference);
    EXPECT_EQ(info["model_reference"], reference);
    EXPECT_EQ(info["runtime_plan"].size(), 16u);
    EXPECT_EQ(info["resolution_message"], info["runtime_plan"]["reason"]);
  }
  EXPECT_EQ(json("models info --json mine")["runtime_plan"]["backend_id"], "optimized-native");
  expect_valid("plan", json("models info --plan-json mine"), "models info --plan-json");
  // With a budget, as what the machine leaves is not the same twice.
  EXPECT_EQ(json("models info --plan-json mine --memory 1GiB"),
            json("plan mine --json --memory 1GiB"));
}

TEST_F(Home, InfoInWordsHasItsLinesInOrder) {
  const CommandResult run = ollm("models info mine");
  ASSERT_EQ(run.exit_code, 0) << run.err;
  std::size_t at = 0;
  for (const char* line :
       {"reference: mine\n", "normalized: mine\n", "source: local-path\n", "materialized: true\n",
        "support: optimized\n", "specialization: true\n", "generic-kind: causal-lm\n",
        "architecture: LlamaForCausalLM\n", "model-type: llama\n",
        "path: ", "backend: optimized-native\n", "specialization-state: planned\n",
        "planned-passes: ", "modalities: text\n", "llama-native runs 'mine'"}) {
    const std::size_t found = run.out.find(line, at);
    ASSERT_NE(found, std::string::npos) << line << run.out;
    at = found;
  }
}

TEST_F(Home, PathTellsWhereAModelLiesOrWouldLie) {
  const CommandResult mine = ollm("models path mine");
  EXPECT_EQ(mine.exit_code, 0);
  EXPECT_EQ(mine.out, (root_ / "models/mine").string() + "\n");
  EXPECT_EQ(mine.err, "");
  EXPECT_EQ(ollm("models path org/clerk").out,
            (root_ / "hub/models--org--clerk/snapshots" / kCommit).string() + "\n");
  const CommandResult later = ollm("models path llama3-1B-chat");
  EXPECT_EQ(later.exit_code, 0);
  EXPECT_EQ(later.out, (root_ / "models/llama3-1B-chat").string() + "\n");
  EXPECT_NE(later.err.find("nothing is there yet"), std::string::npos);
  expect_valid("model_path", json("models path --json mine"), "models path");
  for (const char* nothing : {"nothing", "./nothing"}) {
    const CommandResult run = ollm(fmt::format("models path {}", nothing));
    EXPECT_EQ(run.exit_code, 3) << nothing;
    EXPECT_EQ(run.out, "") << nothing;
    EXPECT_NE(run.err.find("nothing"), std::string::npos) << run.err;
  }
}

// The hub's layout is links all over: they are followed inside, and nowhere else.
TEST_F(Home, RunsFromTheCacheAndNotFromOutsideOfIt) {
  const std::string ask = "prompt --quiet --max-new-tokens 4 --ids 1,4,51 --model org/clerk";
  EXPECT_EQ(ollm(ask).exit_code, 0);
  const fs::path weights =
      root_ / "hub/models--org--clerk/snapshots" / kCommit / "model.safetensors";
  fs::remove(weights);
  fs::create_symlink(root_ / "models/mine/model.safetensors", weights);
  const CommandResult outside = ollm(ask);
  EXPECT_EQ(outside.exit_code, 5) << outside.err;
  EXPECT_NE(outside.err.find("model.safetensors"), std::string::npos);
  folder_.write("hub/models--org--clerk/refs/main", "../../../models/mine");
  EXPECT_EQ(ollm(ask).exit_code, 5);
}

TEST_F(Home, UsageErrorsAreTwo) {
  EXPECT_EQ(ollm("models").exit_code, 2);
  EXPECT_EQ(ollm("models lsit").exit_code, 2);
  EXPECT_EQ(ollm("models info --json --plan-json mine").exit_code, 2);
  EXPECT_EQ(ollm("models info ''").exit_code, 2);
}

TEST_F(Home, DoctorLooksAtAllOfItAndSaysSo) {
  const Json report = json("doctor --json");
  expect_valid("doctor", report, "doctor");
  EXPECT_TRUE(report["ok"]);
  std::vector<std::string> names;
  for (const Json& check : report["checks"]) names.push_back(check["name"]);
  for (const char* name :
       {"cpu:model", "cpu:instruction-sets", "cpu:cores", "memory:total", "memory:limit",
        "memory:huge-pages", "path:models-dir", "storage:models-dir", "path:hub-cache",
        "storage:hub-cache", "path:cache-dir", "storage:cache-dir", "storage:io-uring",
        "gpu:nvidia", "settings:file", "settings:values", "models:installed"})
    EXPECT_NE(std::find(names.begin(), names.end(), name), names.end()) << name;
  const CommandResult text = ollm("doctor");
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_NE(text.out.find("OK   models:installed: 2 on this machine, 2 of them can run"),
            std::string::npos)
      << text.out;
}

TEST_F(Home, DoctorExitsOneWhereACheckFails) {
  const CommandResult named = ollm("doctor --models-dir nowhere");
  EXPECT_EQ(named.exit_code, 1);
  EXPECT_NE(named.out.find("FAIL path:models-dir"), std::string::npos) << named.out;
  EXPECT_NE(named.out.find("to do: mkdir -p"), std::string::npos) << named.out;
  EXPECT_EQ(named.err, "");
  const CommandResult model = ollm("doctor --model nothing --json");
  EXPECT_EQ(model.exit_code, 1);
  EXPECT_EQ(Json::parse(model.out)["ok"], false);
  folder_.write("ollm.toml", "[runtime]\nthreads = 0\n");
  const CommandResult settings = ollm("doctor");
  EXPECT_EQ(settings.exit_code, 1);
  EXPECT_NE(settings.out.find("FAIL settings:values"), std::string::npos) << settings.out;
  EXPECT_NE(settings.out.find("ollm.toml:2"), std::string::npos) << settings.out;
}

TEST_F(Home, LimitsAreThoseThatAreHeld) {
  const Json limits = json("config limits --json");
  expect_valid("config_limits", limits, "config limits");
  for (const char* area : {"settings", "reference", "folder", "json", "config", "safetensors",
                           "tokenizer", "pattern", "template", "input"})
    EXPECT_TRUE(limits.contains(area)) << area;
  const auto value = [&](const char* area, const char* name) {
    return limits[area][name]["value"].get<std::size_t>();
  };
  // At the limit a name is only not found, beyond it it is refused.
  const std::size_t bytes = value("reference", "bytes");
  EXPECT_EQ(ollm("models path " + std::string(bytes, 'x')).exit_code, 3);
  EXPECT_EQ(ollm("models path " + std::string(bytes + 1, 'x')).exit_code, 2);

  const std::size_t file = value("settings", "file_bytes");
  folder_.write("ollm.toml", std::string(file, '\n'));
  EXPECT_EQ(ollm("config show").exit_code, 0);
  folder_.write("ollm.toml", std::string(file + 1, '\n'));
  EXPECT_EQ(ollm("config show").exit_code, 2);
  fs::remove(root_ / "ollm.toml");

  const auto config_of = [&](std::size_t size) {
    const Json config = read_json(fs::path(kShippedModel) / "config.json");
    std::string text = config.dump();
    text.resize(size, ' ');
    folder_.write("models/mine/config.json", text);
    return ollm("score mine --quiet --ids 1,2").exit_code;
  };
  EXPECT_EQ(config_of(value("json", "bytes")), 0);
  EXPECT_EQ(config_of(value("json", "bytes") + 1), 2);

  const CommandResult text = ollm("config limits");
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_NE(text.out.find("safetensors.header_bytes"), std::string::npos);
}

}  // namespace
}  // namespace ollm::testing
