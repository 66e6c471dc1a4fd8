// For the tests of this folder: a made-up machine with models on its disk, all below one temporary
// folder. Leaves to others: what is planned on it.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ollm/io/environment.h"
#include "ollm/io/temporary_folder.h"
#include "ollm/plan/kv_selector.h"
#include "ollm/plan/plan_reference.h"

namespace ollm::plan {

using Json = nlohmann::ordered_json;

struct TensorSpec {
  std::string name;
  std::vector<std::uint64_t> shape;
};

/// A safetensors file of F32 zeros.
inline std::string safetensors_bytes(const std::vector<TensorSpec>& tensors) {
  Json header = Json::object();
  std::uint64_t offset = 0;
  for (const TensorSpec& tensor : tensors) {
    std::uint64_t bytes = 4;
    for (const std::uint64_t size : tensor.shape) bytes *= size;
    header[tensor.name] = {
        {"dtype", "F32"}, {"shape", tensor.shape}, {"data_offsets", {offset, offset + bytes}}};
    offset += bytes;
  }
  const std::string text = header.dump();
  std::string out;
  for (std::size_t i = 0; i < 8; ++i)
    out += static_cast<char>((static_cast<std::uint64_t>(text.size()) >> (8 * i)) & 0xFF);
  return out + text + std::string(offset, '\0');
}

/// config.json of a Llama of one layer, 8 wide, with 2 heads that share one of keys and values.
inline Json tiny_config(std::string_view model_type, std::string_view architecture) {
  return {{"architectures", {architecture}},
          {"model_type", model_type},
          {"hidden_size", 8},
          {"intermediate_size", 16},
          {"num_hidden_layers", 1},
          {"num_attention_heads", 2},
          {"num_key_value_heads", 1},
          {"vocab_size", 16},
          {"max_position_embeddings", 64},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 10000.0},
          {"hidden_act", "silu"},
          {"tie_word_embeddings", false}};
}

/// Its tensors.
inline std::vector<TensorSpec> tiny_tensors() {
  const std::string layer = "model.layers.0.";
  return {{"model.embed_tokens.weight", {16, 8}},
          {layer + "input_layernorm.weight", {8}},
          {layer + "self_attn.q_proj.weight", {8, 8}},
          {layer + "self_attn.k_proj.weight", {4, 8}},
          {layer + "self_attn.v_proj.weight", {4, 8}},
          {layer + "self_attn.o_proj.weight", {8, 8}},
          {layer + "post_attention_layernorm.weight", {8}},
          {layer + "mlp.gate_proj.weight", {16, 8}},
          {layer + "mlp.up_proj.weight", {16, 8}},
          {layer + "mlp.down_proj.weight", {8, 16}},
          {"model.norm.weight", {8}},
          {"lm_head.weight", {16, 8}}};
}

/// The same with biases on q, k and v, as Qwen 2 has them.
inline std::vector<TensorSpec> with_qkv_bias(std::vector<TensorSpec> tensors) {
  const std::string attention = "model.layers.0.self_attn.";
  tensors.push_back({attention + "q_proj.bias", {8}});
  tensors.push_back({attention + "k_proj.bias", {4}});
  tensors.push_back({attention + "v_proj.bias", {4}});
  return tensors;
}

/// The same with norms on the heads of q and k, which no Llama has.
inline std::vector<TensorSpec> with_qk_norm(std::vector<TensorSpec> tensors) {
  tensors.push_back({"model.layers.0.self_attn.q_norm.weight", {4}});
  tensors.push_back({"model.layers.0.self_attn.k_norm.weight", {4}});
  return tensors;
}

class World {
 public:
  World() {
    root_ = std::filesystem::canonical(folder_.path());
    for (const char* name : {"work", "home", "models", "hub"})
      std::filesystem::create_directories(root_ / name);
    environment_.working_directory = root_ / "work";
    environment_.variables = {{"HOME", (root_ / "home").string()},
                              {"HF_HUB_CACHE", (root_ / "hub").string()}};
    config_.models_dir = (root_ / "models").string();
    machine_.host_memory_bytes = std::uint64_t{32} << 30;
  }

  const std::filesystem::path& root() const { return root_; }
  const io::Environment& environment() const { return environment_; }
  settings::RuntimeConfig& config() { return config_; }
  SelectorMachine& machine() { return machine_; }
  SelectOptions& options() { return options_; }

  /// A model's folder, by its path below the root.
  void model(const std::filesystem::path& dir, const Json& config,
             const std::vector<TensorSpec>& tensors) {
    write(dir / "config.json", config.dump());
    write(dir / "model.safetensors", safetensors_bytes(tensors));
  }
  void llama(const std::filesystem::path& dir) {
    model(dir, tiny_config("llama", "LlamaForCausalLM"), tiny_tensors());
  }
  void qwen2(const std::filesystem::path& dir) {
    model(dir, tiny_config("qwen2", "Qwen2ForCausalLM"), with_qkv_bias(tiny_tensors()));
  }
  /// A folder whose config.json is all that matters.
  void bare(const std::filesystem::path& dir, const Json& config) {
    model(dir, config, {{"model.norm.weight", {8}}});
  }
  void write(const std::filesystem::path& file, std::string_view content) {
    folder_.write(file, content);
  }

  /// A snapshot in the hub's cache, its files written by `fill` into the folder it is given.
  template <typename Fill>
  void snapshot(std::string_view repository, std::string_view ref, std::string_view commit,
                Fill fill) {
    const std::filesystem::path dir = std::filesystem::path("hub") / repository;
    write(dir / "refs" / ref, commit);
    fill(dir / "snapshots" / commit);
  }

  Result<PlannedReference> plan(std::string_view reference, io::SystemCalls& calls = io::posix()) {
    config_.model_reference = reference;
    return plan_reference(config_, environment_, machine_, options_, calls);
  }

  /// Text with the root's path as $ROOT, as goldens have it.
  std::string without_root(std::string text) const {
    for (std::size_t at = text.find(root_.string()); at != std::string::npos;
         at = text.find(root_.string(), at))
      text.replace(at, root_.string().size(), "$ROOT");
    return text;
  }

 private:
  io::TemporaryFolder folder_;
  std::filesystem::path root_;
  io::Environment environment_;
  settings::RuntimeConfig config_;
  SelectorMachine machine_;
  SelectOptions options_;
};

/// tests/fixtures/NAME.json.
inline Json read_fixture(const std::string& name) {
  const std::filesystem::path file = std::filesystem::path("tests/fixtures") / (name + ".json");
  std::ifstream in(file);
  EXPECT_TRUE(in.good()) << file;
  return Json::parse(in, nullptr, false);
}

inline void replace_all(std::string& text, const std::string& what, const std::string& by) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size())
    text.replace(at, what.size(), by);
}

/// A golden of tests/fixtures/plans, its sentences spelt out: "<name>" is that of
/// plan_sentences.json, which so stands once for all goldens, and "{raw}" in it what the golden
/// says of its own model.
inline Json plan_golden(const std::string& name) {
  Json golden = read_fixture("plans/" + name);
  const Json sentences = read_fixture("plan_sentences");
  const Json& model = golden["resolved_model"];
  const std::pair<const char*, Json> values[] = {
      {"{raw}", model["model_reference"]},
      {"{name}", model["normalized_name"]},
      {"{path}", model["path"]},
      {"{architecture}", model["architecture"]},
      {"{kind}", model["generic_model_kind"]},
      {"{type}", model["model_type"]},
      {"{repo}", model["repo_id"]},
      {"{revision}", model["revision"]},
      {"{family}", model["native_family"]},
      {"{provider}", golden["runtime_plan"]["specialization_provider_id"]}};
  const auto spell_out = [&](Json& text) {
    if (!text.is_string()) return;
    std::string words = text;
    for (const auto& [sentence, in_words] : sentences.items())
      replace_all(words, "<" + sentence + ">", in_words);
    for (const auto& [mark, value] : values)
      if (value.is_string()) replace_all(words, mark, value);
    text = words;
  };
  spell_out(golden["resolved_model"]["resolution_message"]);
  spell_out(golden["runtime_plan"]["reason"]);
  spell_out(golden["runtime_plan"]["fallback_reason"]);
  Json& details = golden["runtime_plan"]["details"];
  spell_out(details["strategy_selector_reason"]);
  if (details.contains("strategy_selector_lifecycle_reason"))
    spell_out(details["strategy_selector_lifecycle_reason"]);
  return golden;
}

}  // namespace ollm::plan
