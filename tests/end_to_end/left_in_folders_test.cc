// What trainers, compilers and tools leave in folders: wrapped names, heads, notes on quantization.
// Each runs with the answers of the plain folder and says so in its plan, or is refused by name.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ollm/io/temporary_folder.h"
#include "tests/end_to_end/run_command.h"
#include "tests/end_to_end/stored_tensors.h"

namespace ollm::testing {
namespace {

using Json = nlohmann::ordered_json;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
namespace fs = std::filesystem;

const fs::path kFixture = "tests/fixtures/models/grouped-tied";

class LeftInFolders : public ::testing::Test {
 protected:
  LeftInFolders()
      : root_(fs::canonical(folder_.path())),
        tensors_(read_stored_tensors(kFixture / "model.safetensors")) {
    std::ifstream in(kFixture / "config.json");
    config_ = Json::parse(in);
  }

  void write() {
    folder_.write("m/config.json", config_.dump());
    folder_.write("m/model.safetensors", stored(tensors_));
  }

  // The logits of a short row, as bytes.
  std::string logits(const std::string& options = "") {
    const CommandResult run = run_ollm_at_home(
        root_.string(), "score ./m --ids 1,5,9,2 --quiet --logits o.safetensors " + options);
    EXPECT_EQ(run.exit_code, 0) << run.err;
    std::ifstream in(root_ / "o.safetensors", std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  std::vector<std::pair<std::string, std::string>> decisions(const std::string& options = "") {
    const CommandResult run = run_ollm_at_home(root_.string(), "plan ./m --json " + options);
    EXPECT_EQ(run.exit_code, 0) << run.err;
    std::vector<std::pair<std::string, std::string>> out;
    const Json plan = Json::parse(run.out);
    for (const Json& one : plan["execution_plan"]["decisions"])
      out.emplace_back(one["what"], one["chosen"]);
    return out;
  }

  void expect_refused(const std::string& says, int exit_code = 2) {
    write();
    const CommandResult run =
        run_ollm_at_home(root_.string(), "score ./m --ids 1,5 --logits o.safetensors");
    EXPECT_EQ(run.exit_code, exit_code);
    EXPECT_THAT(run.err, HasSubstr(says));
  }

  template <typename Rename>
  void rename(const Rename& renamed) {
    for (StoredTensor& tensor : tensors_) tensor.name = renamed(tensor.name);
  }

  StoredTensor& tensor(const std::string& name) {
    return *std::find_if(tensors_.begin(), tensors_.end(),
                         [&](const StoredTensor& one) { return one.name == name; });
  }

  void add(const std::string& name) {
    tensors_.push_back({name, DType::f32, Shape{2}, std::string(8, '\1')});
  }

  io::TemporaryFolder folder_;
  const fs::path root_;
  std::vector<StoredTensor> tensors_;
  Json config_;
};

TEST_F(LeftInFolders, WrappedNamesAreReadAsIfTheWrappingWasNotThere) {
  write();
  const std::string plain = logits();
  const std::vector<StoredTensor> as_stored = tensors_;
  for (const std::string prefix :
       {"_orig_mod.", "module.", "base_model.model.", "_orig_mod.module.", "language_model."}) {
    SCOPED_TRACE(prefix);
    tensors_ = as_stored;
    rename([&](const std::string& name) { return prefix + name; });
    write();
    EXPECT_EQ(logits(), plain);
    EXPECT_THAT(decisions(), Contains(Pair("weights.names", HasSubstr("*"))));
  }
  tensors_ = as_stored;  // one layer alone was compiled
  rename([](std::string name) {
    const std::string layer = "model.layers.0.";
    return name.starts_with(layer) ? name.insert(layer.size(), "_orig_mod.") : name;
  });
  write();
  EXPECT_EQ(logits(), plain);
  tensors_ = as_stored;  // the base model alone
  rename([](const std::string& name) { return name.substr(std::string("model.").size()); });
  config_["architectures"] = {"LlamaModel"};
  write();
  EXPECT_EQ(logits(), plain);
  EXPECT_THAT(decisions(), Contains(Pair("weights.names", "without model.")));
  StoredTensor twice = tensors_.front();
  twice.name = "_orig_mod." + twice.name;
  tensors_.push_back(twice);
  expect_refused(tensors_.front().name);
}

TEST_F(LeftInFolders, TheTextModelOfAMultimodalFolderRunsAlone) {
  write();
  const std::string plain = logits();
  const std::vector<StoredTensor> as_stored = tensors_;
  Json text = config_;
  text.erase("tie_word_embeddings");
  config_ = {{"model_type", "llava"},
             {"architectures", {"LlavaForConditionalGeneration"}},
             {"vision_config", {{"hidden_size", 8}}},
             {"tie_word_embeddings", true},
             {"text_config", text}};
  for (const std::string prefix : {"language_model.model.", "model.language_model."}) {
    SCOPED_TRACE(prefix);
    tensors_ = as_stored;
    rename([&](const std::string& name) {
      return prefix + name.substr(std::string("model.").size());
    });
    add("vision_tower.weight");
    write();
    EXPECT_EQ(logits(), plain);
    EXPECT_THAT(decisions(), Contains(Pair("modality", "text")));
    EXPECT_THAT(decisions(), Contains(Pair("weights.unused", "vision_tower.*")));
  }
  config_["text_config"]["model_type"] = "nemotron";
  expect_refused("LlavaForConditionalGeneration");
}

TEST_F(LeftInFolders, WhatTrainersLeaveIsPassedOverAndOtherTensorsAreNamed) {
  write();
  const std::string plain = logits();
  add("v_head.summary.weight");
  add("score.weight");
  write();
  EXPECT_EQ(logits(), plain);
  EXPECT_THAT(decisions(), Contains(Pair("weights.unused", "v_head.*, score.*")));
  add("extra.weight");
  expect_refused(
      "extra.weight; the model computes something that is not understood; "
      "--allow-unused-tensors");
  EXPECT_EQ(logits("--allow-unused-tensors 'ex*.weight'"), plain);
  EXPECT_THAT(decisions("--allow-unused-tensors 'ex*'"),
              Contains(Pair("weights.unused", "extra.*")));
  const CommandResult other = run_ollm_at_home(
      root_.string(), "score ./m --ids 1,5 --logits o.safetensors --allow-unused-tensors 'x*'");
  EXPECT_EQ(other.exit_code, 2);
}

TEST_F(LeftInFolders, AQuantizationThatIsNoMoreSaysNothing) {
  write();
  const std::string plain = logits();
  config_["quantization_config"] = {{"quant_method", "bitsandbytes"}, {"load_in_4bit", true}};
  write();
  EXPECT_EQ(logits(), plain);
  EXPECT_THAT(decisions(), Contains(Pair("config.quantization_config", "ignored")));
  add("model.layers.0.mlp.up_proj.weight_scale");
  expect_refused("weight_scale");
}

TEST_F(LeftInFolders, AStoredHeadThatDiffersFromATiedEmbeddingIsUsed) {
  write();
  const std::string plain = logits();
  const std::string embedding = "model.embed_tokens.weight";
  StoredTensor head = tensor(embedding);
  head.name = "lm_head.weight";
  tensors_.push_back(head);
  write();
  EXPECT_EQ(logits(), plain);  // the same numbers
  std::vector<std::string> whats;
  for (const auto& [what, chosen] : decisions())
    if (what == "head") whats.push_back(chosen);
  EXPECT_THAT(whats, IsEmpty());

  tensors_.back().bytes[tensors_.back().bytes.size() - 1] ^= 1;  // of the last row alone
  write();
  EXPECT_THAT(decisions(), Contains(Pair("head", "stored")));
  const std::string with_head = logits();
  EXPECT_NE(with_head, plain);
  config_["tie_word_embeddings"] = false;
  write();
  EXPECT_EQ(logits(), with_head);
}

}  // namespace
}  // namespace ollm::testing
