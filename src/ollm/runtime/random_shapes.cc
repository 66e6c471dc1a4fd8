#include "ollm/runtime/random_shapes.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace ollm::runtime {
namespace {

using Config = nlohmann::ordered_json;

// As the config.json of the models that are published under these names; end tokens and the like
// left out.
struct DenseShape {
  std::string_view name;
  std::size_t hidden, intermediate, layers, heads, kv_heads, head_dim;
  bool tied;
};
constexpr DenseShape kDense[] = {
    {"llama3-1B", 2048, 8192, 16, 32, 8, 64, true},
    {"llama3-3B", 3072, 8192, 28, 24, 8, 128, true},
    {"llama3-8B", 4096, 14336, 32, 32, 8, 128, false},
    {"llama3-70B", 8192, 28672, 80, 64, 8, 128, false},
};

Config config_of(const DenseShape& shape) {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"hidden_size", shape.hidden},
          {"intermediate_size", shape.intermediate},
          {"num_hidden_layers", shape.layers},
          {"num_attention_heads", shape.heads},
          {"num_key_value_heads", shape.kv_heads},
          {"head_dim", shape.head_dim},
          {"hidden_act", "silu"},
          {"max_position_embeddings", 131072},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 500000.0},
          {"tie_word_embeddings", shape.tied},
          {"torch_dtype", "bfloat16"},
          {"vocab_size", 128256}};
}

// Experts in MXFP4, all else in BF16.
Config gpt_oss_20b() {
  constexpr int kLayers = 24;
  Config layer_types = Config::array();
  for (int i = 0; i < kLayers; ++i)
    layer_types.push_back(i % 2 == 0 ? "sliding_attention" : "full_attention");
  return {{"architectures", {"GptOssForCausalLM"}},
          {"model_type", "gpt_oss"},
          {"attention_bias", true},
          {"hidden_size", 2880},
          {"intermediate_size", 2880},
          {"num_hidden_layers", kLayers},
          {"num_attention_heads", 64},
          {"num_key_value_heads", 8},
          {"head_dim", 64},
          {"num_local_experts", 32},
          {"num_experts_per_tok", 4},
          {"hidden_act", "silu"},
          {"swiglu_limit", 7.0},
          {"sliding_window", 128},
          {"layer_types", std::move(layer_types)},
          {"max_position_embeddings", 131072},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 150000.0},
          {"rope_scaling",
           {{"rope_type", "yarn"},
            {"factor", 32.0},
            {"beta_fast", 32.0},
            {"beta_slow", 1.0},
            {"original_max_position_embeddings", 4096},
            {"truncate", false}}},
          {"quantization_config", {{"quant_method", "mxfp4"}}},
          {"tie_word_embeddings", false},
          {"torch_dtype", "bfloat16"},
          {"vocab_size", 201088}};
}

Config qwen3_30b_a3b() {
  return {{"architectures", {"Qwen3MoeForCausalLM"}},
          {"model_type", "qwen3_moe"},
          {"hidden_size", 2048},
          {"intermediate_size", 6144},
          {"moe_intermediate_size", 768},
          {"num_hidden_layers", 48},
          {"num_attention_heads", 32},
          {"num_key_value_heads", 4},
          {"head_dim", 128},
          {"num_experts", 128},
          {"num_experts_per_tok", 8},
          {"norm_topk_prob", true},
          {"decoder_sparse_step", 1},
          {"mlp_only_layers", Config::array()},
          {"hidden_act", "silu"},
          {"max_position_embeddings", 40960},
          {"rms_norm_eps", 1e-6},
          {"rope_theta", 1000000.0},
          {"tie_word_embeddings", false},
          {"torch_dtype", "bfloat16"},
          {"vocab_size", 151936}};
}

Config qwen3_next_80b() {
  return {{"architectures", {"Qwen3NextForCausalLM"}},
          {"model_type", "qwen3_next"},
          {"hidden_size", 2048},
          {"intermediate_size", 5120},
          {"moe_intermediate_size", 512},
          {"shared_expert_intermediate_size", 512},
          {"num_hidden_layers", 48},
          {"num_attention_heads", 16},
          {"num_key_value_heads", 2},
          {"head_dim", 256},
          {"linear_conv_kernel_dim", 4},
          {"linear_key_head_dim", 128},
          {"linear_num_key_heads", 16},
          {"linear_num_value_heads", 32},
          {"linear_value_head_dim", 128},
          {"full_attention_interval", 4},
          {"num_experts", 512},
          {"num_experts_per_tok", 10},
          {"norm_topk_prob", true},
          {"decoder_sparse_step", 1},
          {"mlp_only_layers", Config::array()},
          {"hidden_act", "silu"},
          {"max_position_embeddings", 262144},
          {"partial_rotary_factor", 0.25},
          {"rms_norm_eps", 1e-6},
          {"rope_theta", 10000000},
          {"tie_word_embeddings", false},
          {"torch_dtype", "bfloat16"},
          {"vocab_size", 151936}};
}

struct Mixture {
  std::string_view name;
  Config (*config)();
};
constexpr Mixture kMixtures[] = {{"gpt-oss-20b", gpt_oss_20b},
                                 {"qwen3-30b-a3b", qwen3_30b_a3b},
                                 {"qwen3-next-80b", qwen3_next_80b}};

}  // namespace

std::optional<std::string> config_of_shape(std::string_view name) {
  for (const DenseShape& shape : kDense)
    if (shape.name == name) return config_of(shape).dump(2) + "\n";
  for (const Mixture& mixture : kMixtures)
    if (mixture.name == name) return mixture.config().dump(2) + "\n";
  return std::nullopt;
}

std::string shape_names() {
  std::string names;
  for (const DenseShape& shape : kDense) names += fmt::format(" {}", shape.name);
  for (const Mixture& mixture : kMixtures) names += fmt::format(" {}", mixture.name);
  return names;
}

}  // namespace ollm::runtime
