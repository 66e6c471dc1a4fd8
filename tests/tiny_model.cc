#include "tests/tiny_model.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "ollm/base/check.h"
#include "ollm/checkpoint/safetensors_writer.h"
#include "ollm/tensor/float16.h"

namespace ollm::testing {
namespace {

constexpr TinyFamily kFamilies[] = {
    {.model_type = "llama", .architecture = "LlamaForCausalLM"},
    {.model_type = "mistral",
     .architecture = "MistralForCausalLM",
     .more = R"({"sliding_window":9})"},
    {.model_type = "qwen2", .architecture = "Qwen2ForCausalLM", .qkv_bias = true},
    {.model_type = "qwen3", .architecture = "Qwen3ForCausalLM", .qk_norm_per_head = true},
    {.model_type = "phi3",
     .architecture = "Phi3ForCausalLM",
     .fused_qkv = true,
     .fused_gate_up = true},
    {.model_type = "smollm3",
     .architecture = "SmolLM3ForCausalLM",
     .more = R"({"no_rope_layer_interval":2})"},
    {.model_type = "olmo2",
     .architecture = "Olmo2ForCausalLM",
     .norms_after = true,
     .qk_norm_of_row = true},
    {.model_type = "granite",
     .architecture = "GraniteForCausalLM",
     .more = R"({"attention_multiplier":0.3,"embedding_multiplier":6.0,)"
             R"("residual_multiplier":0.7,"logits_scaling":13.0})"},
    {.model_type = "starcoder2",
     .architecture = "Starcoder2ForCausalLM",
     .plain_mlp = true,
     .layer_norm = true,
     .qkv_bias = true,
     .o_bias = true,
     .mlp_bias = true,
     .more = R"({"use_bias":true})"},
    {.model_type = "granitemoe",
     .architecture = "GraniteMoeForCausalLM",
     .experts = 4,
     .more = R"({"num_local_experts":4,"num_experts_per_tok":2,"residual_multiplier":0.7})"},
};

// A value that every type of weights holds exactly.
float held_by_all(float value) { return f16_to_f32(f32_to_f16(bf16_to_f32(f32_to_bf16(value)))); }

class Maker {
 public:
  Maker(const TinyFamily& family, const TinySizes& sizes, std::uint32_t seed)
      : family_(family), sizes_(sizes), random_(seed) {}

  std::vector<TinyTensor> make() {
    matrix("model.embed_tokens", sizes_.vocab, sizes_.hidden, 1.0F);
    for (std::size_t i = 0; i < sizes_.layers; ++i) layer(fmt::format("model.layers.{}", i));
    norm("model.norm", sizes_.hidden);
    if (!sizes_.tied) {
      linear("lm_head", sizes_.vocab, sizes_.hidden, false);
    } else if (sizes_.stored_head) {
      TinyTensor head = out_.front();
      head.name = "lm_head.weight";
      out_.push_back(std::move(head));
    }
    return std::move(out_);
  }

 private:
  void add(const std::string& name, Shape shape, float mean, float deviation) {
    std::normal_distribution<float> normal(mean, deviation);
    TinyTensor tensor{name, shape, DType::f32, {}};
    tensor.values.resize(shape.element_count());
    for (float& value : tensor.values) value = held_by_all(normal(random_));
    out_.push_back(std::move(tensor));
  }
  void matrix(const std::string& name, std::size_t out, std::size_t in, float deviation) {
    add(name + ".weight", Shape({out, in}), 0, deviation);
  }
  void linear(const std::string& name, std::size_t out, std::size_t in, bool bias) {
    matrix(name, out, in, 1.0F / std::sqrt(static_cast<float>(in)));
    if (bias) add(name + ".bias", Shape({out}), 0, 0.2F);
  }
  void norm(const std::string& name, std::size_t size) {
    add(name + ".weight", Shape({size}), 1, 0.2F);
    if (family_.layer_norm) add(name + ".bias", Shape({size}), 0, 0.2F);
  }

  void attention(const std::string& name) {
    const std::size_t q = sizes_.heads * sizes_.head_dim;
    const std::size_t kv = sizes_.kv_heads * sizes_.head_dim;
    if (family_.fused_qkv) {
      linear(name + ".qkv_proj", q + 2 * kv, sizes_.hidden, family_.qkv_bias);
    } else {
      linear(name + ".q_proj", q, sizes_.hidden, family_.qkv_bias);
      linear(name + ".k_proj", kv, sizes_.hidden, family_.qkv_bias);
      linear(name + ".v_proj", kv, sizes_.hidden, family_.qkv_bias);
    }
    if (family_.qk_norm_per_head || family_.qk_norm_of_row) {
      norm(name + ".q_norm", family_.qk_norm_of_row ? q : sizes_.head_dim);
      norm(name + ".k_norm", family_.qk_norm_of_row ? kv : sizes_.head_dim);
    }
    linear(name + ".o_proj", sizes_.hidden, q, family_.o_bias);
  }

  void feed_forward(const std::string& name) {
    const std::size_t inner = sizes_.inner;
    const bool bias = family_.mlp_bias;
    if (family_.plain_mlp) {
      linear(name + ".c_fc", inner, sizes_.hidden, bias);
      linear(name + ".c_proj", sizes_.hidden, inner, bias);
      return;
    }
    if (family_.fused_gate_up) {
      linear(name + ".gate_up_proj", 2 * inner, sizes_.hidden, bias);
    } else {
      linear(name + ".gate_proj", inner, sizes_.hidden, bias);
      linear(name + ".up_proj", inner, sizes_.hidden, bias);
    }
    linear(name + ".down_proj", sizes_.hidden, inner, bias);
  }

  void layer(const std::string& name) {
    if (!family_.norms_after) norm(name + ".input_layernorm", sizes_.hidden);
    attention(name + ".self_attn");
    norm(name + ".post_attention_layernorm", sizes_.hidden);
    if (family_.norms_after) norm(name + ".post_feedforward_layernorm", sizes_.hidden);
    if (family_.experts > 0) {
      mixture(name + ".block_sparse_moe");
    } else {
      feed_forward(name + ".mlp");
    }
  }

  void mixture(const std::string& name) {
    const auto stacked = [&](std::string_view part, std::size_t out, std::size_t in) {
      add(fmt::format("{}.{}.weight", name, part), Shape({family_.experts, out, in}), 0,
          1.0F / std::sqrt(static_cast<float>(in)));
    };
    linear(name + ".router.layer", family_.experts, sizes_.hidden, false);
    stacked("input_linear", 2 * sizes_.inner, sizes_.hidden);
    stacked("output_linear", sizes_.hidden, sizes_.inner);
  }

  const TinyFamily& family_;
  const TinySizes& sizes_;
  std::mt19937 random_;
  std::vector<TinyTensor> out_;
};

std::string bytes_of(const TinyTensor& tensor) {
  const std::size_t element = size_bytes(tensor.dtype);
  std::string bytes(tensor.shape.element_count() * element, '\0');
  const bool weights =
      tensor.dtype == DType::f32 || tensor.dtype == DType::f16 || tensor.dtype == DType::bf16;
  if (!weights) return bytes;
  OLLM_CHECK(tensor.values.size() == tensor.shape.element_count());
  for (std::size_t i = 0; i < tensor.values.size(); ++i) {
    const float value = tensor.values[i];
    if (tensor.dtype == DType::f32) {
      std::memcpy(bytes.data() + 4 * i, &value, 4);
      continue;
    }
    const std::uint16_t half = tensor.dtype == DType::bf16 ? f32_to_bf16(value) : f32_to_f16(value);
    std::memcpy(bytes.data() + 2 * i, &half, 2);
  }
  return bytes;
}

void write_file(const std::filesystem::path& path, std::span<const std::string> pieces) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  for (const std::string& piece : pieces)
    out.write(piece.data(), static_cast<std::streamsize>(piece.size()));
  out.close();
  OLLM_CHECK(out.good());
}

}  // namespace

std::span<const TinyFamily> tiny_families() { return kFamilies; }

std::vector<TinyTensor> tiny_tensors(const TinyFamily& family, const TinySizes& sizes,
                                     std::uint32_t seed) {
  return Maker(family, sizes, seed).make();
}

nlohmann::ordered_json tiny_config(const TinyFamily& family, const TinySizes& sizes) {
  nlohmann::ordered_json config = {{"architectures", {family.architecture}},
                                   {"model_type", family.model_type},
                                   {"hidden_size", sizes.hidden},
                                   {"intermediate_size", sizes.inner},
                                   {"num_hidden_layers", sizes.layers},
                                   {"num_attention_heads", sizes.heads},
                                   {"num_key_value_heads", sizes.kv_heads},
                                   {"head_dim", sizes.head_dim},
                                   {"vocab_size", sizes.vocab},
                                   {"max_position_embeddings", sizes.positions},
                                   {"hidden_act", family.plain_mlp ? "gelu_pytorch_tanh" : "silu"},
                                   {family.layer_norm ? "norm_epsilon" : "rms_norm_eps", 1e-5},
                                   {"rope_theta", 10000.0},
                                   {"tie_word_embeddings", sizes.tied},
                                   {"bos_token_id", nullptr},
                                   {"eos_token_id", nullptr}};
  config.update(nlohmann::ordered_json::parse(family.more));
  return config;
}

void write_tiny_model(const std::filesystem::path& folder, std::string_view config,
                      const std::vector<TinyTensor>& tensors) {
  std::vector<checkpoint::NewTensor> header;
  for (const TinyTensor& tensor : tensors)
    header.push_back({tensor.name, tensor.dtype, tensor.shape});
  auto begin = checkpoint::make_safetensors_header(header);
  OLLM_CHECK(begin.ok());
  std::vector<std::string> pieces = {std::move(begin).value()};
  for (const TinyTensor& tensor : tensors) pieces.push_back(bytes_of(tensor));
  write_file(folder / "model.safetensors", pieces);
  const std::string text(config);
  write_file(folder / "config.json", {&text, 1});
}

}  // namespace ollm::testing
