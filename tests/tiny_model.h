// Model folders of a few kilobytes, made from a description: every family that is built, of any
// sizes, each tensor of any type. Leaves to others: what they compute (goldens/), and files that no
// writer would make (checkpoint/).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/tensor/dtype.h"
#include "ollm/tensor/shape.h"

namespace ollm::testing {

/// How the tensors of a model type are named and which there are. Written down from Transformers'
/// modeling files, not from models/: what is tested against it.
struct TinyFamily {
  std::string_view model_type;
  std::string_view architecture;
  bool fused_qkv = false, fused_gate_up = false;
  bool plain_mlp = false;    // c_fc, c_proj instead of gate, up, down
  bool layer_norm = false;   // with biases, norm_epsilon
  bool norms_after = false;  // post_attention_layernorm, post_feedforward_layernorm
  bool qkv_bias = false, o_bias = false, mlp_bias = false;
  bool qk_norm_per_head = false, qk_norm_of_row = false;
  std::size_t experts = 0;  // block_sparse_moe with stacked experts, as Granite's, in place of mlp
  std::string_view more = "{}";  // what config.json has beside the sizes
};

/// llama, and those that are composed from their tensors.
std::span<const TinyFamily> tiny_families();

/// None divides what kernels work in.
struct TinySizes {
  std::size_t hidden = 20, inner = 37, layers = 2, heads = 2, kv_heads = 1, head_dim = 6;
  std::size_t vocab = 41, positions = 64;
  bool tied = false;
  bool stored_head = true;  // beside a tied embedding: a copy of it
};

struct TinyTensor {
  std::string name;
  Shape shape;
  DType dtype = DType::f32;
  std::vector<float> values;  // of F32, F16 and BF16, rounded when written; others hold zeros
};

/// All tensors with values that F32, F16 and BF16 hold exactly, those of weights of the size that
/// keeps a row's, norms near 1. Equal arguments give equal values.
std::vector<TinyTensor> tiny_tensors(const TinyFamily& family, const TinySizes& sizes,
                                     std::uint32_t seed);

/// config.json; keys may be replaced before it is written.
nlohmann::ordered_json tiny_config(const TinyFamily& family, const TinySizes& sizes);

/// Writes config.json and model.safetensors over what stands there.
void write_tiny_model(const std::filesystem::path& folder, std::string_view config,
                      const std::vector<TinyTensor>& tensors);

}  // namespace ollm::testing
