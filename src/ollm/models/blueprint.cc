#include "ollm/models/blueprint.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "ollm/models/rotary.h"

namespace ollm::models {
namespace {

// Puts tensors on the tape in the order in which a sweep touches them.
class Composer {
 public:
  Composer(const ModelConfig& config, const Blueprint& blueprint)
      : config_(config), blueprint_(blueprint) {}

  Composition compose() {
    out_.hidden_size = config_.hidden_size;
    out_.vocab_size = config_.vocab_size;
    out_.max_positions = config_.max_position_embeddings;
    const std::string embedding = "model.embed_tokens.weight";
    out_.embedding = matrix(embedding, config_.vocab_size, config_.hidden_size);
    out_.tape.matrices.back().section = weights::Section::embedding;
    out_.embedding_multiplier = static_cast<float>(config_.embedding_multiplier.value_or(1));
    out_.residual_multiplier = static_cast<float>(config_.residual_multiplier.value_or(1));
    out_.logits_divisor = static_cast<float>(config_.logits_scaling.value_or(1));
    out_.rotaries.push_back(rotary_spec(config_.rotary, config_.head_dim));
    for (std::size_t i = 0; i < config_.num_hidden_layers; ++i) out_.layers.push_back(layer(i));
    out_.final_norm = norm("model.norm", config_.hidden_size);
    out_.head = {matrix(blueprint_.tied_head ? embedding : "lm_head.weight", config_.vocab_size,
                        config_.hidden_size),
                 std::nullopt, config_.hidden_size, config_.vocab_size};
    out_.tape.matrices.back().section = weights::Section::head;
    return std::move(out_);
  }

 private:
  MatrixId matrix(std::string tensor, std::size_t rows, std::size_t cols) {
    return matrix(std::move(tensor), 0, rows, rows, cols);
  }

  MatrixId matrix(std::string tensor, std::size_t first_row, std::size_t rows,
                  std::size_t tensor_rows, std::size_t cols) {
    out_.tape.matrices.push_back({std::move(tensor), first_row, rows, cols, tensor_rows});
    return {static_cast<std::uint32_t>(out_.tape.matrices.size() - 1)};
  }

  VectorId vector(std::string tensor, std::size_t size) {
    return vector(std::move(tensor), 0, size, size);
  }

  VectorId vector(std::string tensor, std::size_t first, std::size_t size,
                  std::size_t tensor_size) {
    out_.tape.vectors.push_back({std::move(tensor), first, size, tensor_size});
    return {static_cast<std::uint32_t>(out_.tape.vectors.size() - 1)};
  }

  LinearSpec linear(const std::string& name, std::size_t out, std::size_t in, bool bias) {
    return part(name, 0, out, out, in, bias);
  }

  // Outputs [first, first + out) of a projection of `whole` outputs.
  LinearSpec part(const std::string& name, std::size_t first, std::size_t out, std::size_t whole,
                  std::size_t in, bool bias) {
    LinearSpec spec;
    spec.weight = matrix(name + ".weight", first, out, whole, in);
    if (bias) spec.bias = vector(name + ".bias", first, out, whole);
    spec.in = in;
    spec.out = out;
    return spec;
  }

  NormSpec norm(const std::string& name, std::size_t size) {
    NormSpec spec;
    spec.kind = blueprint_.norm_kind;
    spec.weight = vector(name + ".weight", size);
    if (spec.kind == NormKind::rms) out_.tape.vectors.back().add = 0.0F;
    if (blueprint_.norm_bias) spec.bias = vector(name + ".bias", size);
    spec.eps = config_.norm_eps;
    return spec;
  }

  AttentionSpec attention(std::size_t index, const std::string& name) {
    AttentionSpec spec;
    spec.heads = config_.num_attention_heads;
    spec.kv_heads = config_.num_key_value_heads;
    spec.head_dim = config_.head_dim;
    spec.scale = static_cast<float>(config_.attention_multiplier.value_or(
        1.0 / std::sqrt(static_cast<double>(config_.head_dim))));
    spec.window = config_.windows[index];
    if (config_.rotated[index]) spec.rotary = 0;
    const std::size_t q = spec.heads * spec.head_dim;
    const std::size_t kv = spec.kv_heads * spec.head_dim;
    const std::size_t in = config_.hidden_size;
    const bool bias = blueprint_.qkv_bias;
    if (blueprint_.fused_qkv) {
      const std::string fused = name + ".qkv_proj";
      spec.q = part(fused, 0, q, q + 2 * kv, in, bias);
      spec.k = part(fused, q, kv, q + 2 * kv, in, bias);
      spec.v = part(fused, q + kv, kv, q + 2 * kv, in, bias);
    } else {
      spec.q = linear(name + ".q_proj", q, in, bias);
      spec.k = linear(name + ".k_proj", kv, in, bias);
      spec.v = linear(name + ".v_proj", kv, in, bias);
    }
    if (blueprint_.qk_norm != QkNorm::none) {
      spec.norm_whole_row = blueprint_.qk_norm == QkNorm::whole_row;
      spec.q_norm = norm(name + ".q_norm", spec.norm_whole_row ? q : spec.head_dim);
      spec.k_norm = norm(name + ".k_norm", spec.norm_whole_row ? kv : spec.head_dim);
    }
    spec.o = linear(name + ".o_proj", in, q, blueprint_.o_bias);
    return spec;
  }

  DenseSpec feed_forward(const std::string& name) {
    DenseSpec spec;
    spec.activation = blueprint_.activation;
    const std::size_t in = config_.hidden_size;
    const std::size_t inner = config_.intermediate_size;
    const bool bias = blueprint_.mlp_bias;
    if (!blueprint_.gated) {
      spec.up = linear(name + ".c_fc", inner, in, bias);
      spec.down = linear(name + ".c_proj", in, inner, bias);
      return spec;
    }
    if (blueprint_.fused_gate_up) {
      spec.gate = part(name + ".gate_up_proj", 0, inner, 2 * inner, in, bias);
      spec.up = part(name + ".gate_up_proj", inner, inner, 2 * inner, in, bias);
    } else {
      spec.gate = linear(name + ".gate_proj", inner, in, bias);
      spec.up = linear(name + ".up_proj", inner, in, bias);
    }
    spec.down = linear(name + ".down_proj", in, inner, bias);
    return spec;
  }

  LayerSpec layer(std::size_t index) {
    const std::string name = fmt::format("model.layers.{}", index);
    const std::size_t size = config_.hidden_size;
    LayerSpec spec;
    if (blueprint_.placement == NormPlacement::before) {
      spec.before_mixer = norm(name + ".input_layernorm", size);
      spec.before_feed_forward = norm(name + ".post_attention_layernorm", size);
    } else {
      spec.after_mixer = norm(name + ".post_attention_layernorm", size);
      spec.after_feed_forward = norm(name + ".post_feedforward_layernorm", size);
    }
    spec.mixer = attention(index, name + ".self_attn");
    spec.feed_forward = feed_forward(name + ".mlp");
    return spec;
  }

  const ModelConfig& config_;
  const Blueprint& blueprint_;
  Composition out_;
};

}  // namespace

Composition compose(const ModelConfig& config, const Blueprint& blueprint) {
  return Composer(config, blueprint).compose();
}

}  // namespace ollm::models
