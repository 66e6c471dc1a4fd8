// For tests and benchmarks: a model folder of any shape whose weights take no space on disk, as
// their data is a hole. Leaves to others: what is planned on it.
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ollm/base/check.h"

namespace ollm::plan {

struct SparseShape {
  std::uint64_t hidden_size = 8192;  // Llama 3 70B
  std::uint64_t intermediate_size = 28672;
  std::uint64_t num_hidden_layers = 80;
  std::uint64_t num_attention_heads = 64;
  std::uint64_t num_key_value_heads = 8;
  std::uint64_t vocab_size = 128256;
  std::uint64_t shards = 30;
};

/// Writes a Llama in BF16: config.json, the shards with their headers, and the index.
/// Returns the bytes of all headers and texts: what a plan has to read.
inline std::uint64_t write_sparse_llama(const std::filesystem::path& dir,
                                        const SparseShape& shape) {
  struct Tensor {
    std::string name;
    std::vector<std::uint64_t> shape;
  };
  const std::uint64_t head = shape.hidden_size / shape.num_attention_heads;
  const std::uint64_t kv = head * shape.num_key_value_heads;
  std::vector<Tensor> tensors = {
      {"model.embed_tokens.weight", {shape.vocab_size, shape.hidden_size}}};
  for (std::uint64_t i = 0; i < shape.num_hidden_layers; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    for (const Tensor& tensor : std::vector<Tensor>{
             {"input_layernorm.weight", {shape.hidden_size}},
             {"self_attn.q_proj.weight", {shape.hidden_size, shape.hidden_size}},
             {"self_attn.k_proj.weight", {kv, shape.hidden_size}},
             {"self_attn.v_proj.weight", {kv, shape.hidden_size}},
             {"self_attn.o_proj.weight", {shape.hidden_size, shape.hidden_size}},
             {"post_attention_layernorm.weight", {shape.hidden_size}},
             {"mlp.gate_proj.weight", {shape.intermediate_size, shape.hidden_size}},
             {"mlp.up_proj.weight", {shape.intermediate_size, shape.hidden_size}},
             {"mlp.down_proj.weight", {shape.hidden_size, shape.intermediate_size}}})
      tensors.push_back({layer + tensor.name, tensor.shape});
  }
  tensors.push_back({"model.norm.weight", {shape.hidden_size}});
  tensors.push_back({"lm_head.weight", {shape.vocab_size, shape.hidden_size}});

  std::uint64_t read = 0;
  const auto write = [&](const std::string& name, const std::string& text,
                         std::uint64_t hole_bytes) {
    const std::filesystem::path file = dir / name;
    std::ofstream out(file, std::ios::binary);
    out.write(text.data(), static_cast<std::streamsize>(text.size()));
    out.close();
    OLLM_CHECK(out.good());
    std::filesystem::resize_file(file, text.size() + hole_bytes);
    read += text.size();
  };
  std::filesystem::create_directories(dir);
  const nlohmann::ordered_json config = {{"architectures", {"LlamaForCausalLM"}},
                                         {"model_type", "llama"},
                                         {"hidden_size", shape.hidden_size},
                                         {"intermediate_size", shape.intermediate_size},
                                         {"num_hidden_layers", shape.num_hidden_layers},
                                         {"num_attention_heads", shape.num_attention_heads},
                                         {"num_key_value_heads", shape.num_key_value_heads},
                                         {"vocab_size", shape.vocab_size},
                                         {"max_position_embeddings", 8192},
                                         {"rms_norm_eps", 1e-5},
                                         {"rope_theta", 500000.0},
                                         {"hidden_act", "silu"},
                                         {"tie_word_embeddings", false}};
  write("config.json", config.dump(2), 0);

  nlohmann::ordered_json map = nlohmann::ordered_json::object();
  const std::uint64_t per_shard = (tensors.size() + shape.shards - 1) / shape.shards;
  for (std::uint64_t shard = 0; shard < shape.shards; ++shard) {
    char name[64];
    std::snprintf(name, sizeof name, "model-%05u-of-%05u.safetensors",
                  static_cast<unsigned>(shard + 1), static_cast<unsigned>(shape.shards));
    nlohmann::ordered_json header = nlohmann::ordered_json::object();
    std::uint64_t offset = 0;
    for (std::uint64_t i = shard * per_shard; i < (shard + 1) * per_shard && i < tensors.size();
         ++i) {
      std::uint64_t bytes = 2;
      for (const std::uint64_t size : tensors[i].shape) bytes *= size;
      header[tensors[i].name] = {{"dtype", "BF16"},
                                 {"shape", tensors[i].shape},
                                 {"data_offsets", {offset, offset + bytes}}};
      offset += bytes;
      map[tensors[i].name] = name;
    }
    const std::string json = header.dump();
    std::string text;
    for (std::size_t i = 0; i < 8; ++i)
      text += static_cast<char>((static_cast<std::uint64_t>(json.size()) >> (8 * i)) & 0xFF);
    write(name, text + json, offset);
  }
  write("model.safetensors.index.json",
        nlohmann::ordered_json{{"metadata", nlohmann::ordered_json::object()}, {"weight_map", map}}
            .dump(2),
        0);
  return read;
}

}  // namespace ollm::plan
