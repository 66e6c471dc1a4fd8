#include "ollm/models/blueprint.h"

#include <fmt/format.h>

#include <cmath>
#include <string>
#include <utility>

#include "ollm/models/composer.h"
#include "ollm/models/rotary.h"

namespace ollm::models {
namespace {

constexpr const char* kEmbedding = "model.embed_tokens.weight";

// The parts of one decoder, in the order in which a sweep touches them.
class Decoder {
 public:
  Decoder(const ModelConfig& config, const Blueprint& blueprint)
      : config_(config),
        blueprint_(blueprint),
        composer_(config.hidden_size, usable_positions(config)) {}

  Composition compose() {
    composer_.embedding(kEmbedding, config_.vocab_size,
                        static_cast<float>(config_.embedding_multiplier));
    composer_.residual_multiplier(static_cast<float>(config_.residual_multiplier));
    rotary_ = composer_.rotary(rotary_spec(config_.rotary, config_.head_dim));
    for (std::size_t i = 0; i < config_.num_hidden_layers; ++i) layer(i);
    composer_.final_norm(norm("model.norm", config_.hidden_size));
    composer_.head(config_.tie_word_embeddings ? kEmbedding : "lm_head.weight",
                   static_cast<float>(config_.logits_scaling));
    return composer_.take();
  }

 private:
  NormSpec norm(const std::string& name, std::size_t size) {
    return composer_.norm(name, config_.norm_kind, size, static_cast<float>(config_.norm_eps),
                          blueprint_.norm_bias);
  }

  AttentionSpec attention(std::size_t index, const std::string& name) {
    AttentionSpec spec;
    spec.heads = config_.num_attention_heads;
    spec.kv_heads = config_.num_key_value_heads;
    spec.head_dim = config_.head_dim;
    spec.scale = static_cast<float>(config_.attention_multiplier.value_or(
        1.0 / std::sqrt(static_cast<double>(config_.head_dim))));
    spec.window = config_.windows[index];
    if (config_.rotated[index]) spec.rotary = rotary_;
    const std::size_t q = spec.heads * spec.head_dim;
    const std::size_t kv = spec.kv_heads * spec.head_dim;
    const std::size_t in = config_.hidden_size;
    const bool bias = config_.qkv_bias;
    if (blueprint_.fused_qkv) {
      const std::string fused = name + ".qkv_proj";
      const std::size_t all = q + 2 * kv;
      spec.q = composer_.linear(fused, {0, q, all}, in, bias);
      spec.k = composer_.linear(fused, {q, kv, all}, in, bias);
      spec.v = composer_.linear(fused, {q + kv, kv, all}, in, bias);
    } else {
      spec.q = composer_.linear(name + ".q_proj", q, in, bias);
      spec.k = composer_.linear(name + ".k_proj", kv, in, bias);
      spec.v = composer_.linear(name + ".v_proj", kv, in, bias);
    }
    if (blueprint_.qk_norm != QkNorm::none) {
      spec.norm_whole_row = blueprint_.qk_norm == QkNorm::whole_row;
      spec.q_norm = norm(name + ".q_norm", spec.norm_whole_row ? q : spec.head_dim);
      spec.k_norm = norm(name + ".k_norm", spec.norm_whole_row ? kv : spec.head_dim);
    }
    spec.o = composer_.linear(name + ".o_proj", in, q, config_.output_bias);
    return spec;
  }

  DenseSpec feed_forward(const std::string& name) {
    DenseSpec spec;
    spec.activation = config_.hidden_act;
    const std::size_t in = config_.hidden_size;
    const std::size_t inner = config_.intermediate_size;
    const bool bias = config_.mlp_bias;
    if (!blueprint_.gated) {
      spec.up = composer_.linear(name + ".c_fc", inner, in, bias);
      spec.down = composer_.linear(name + ".c_proj", in, inner, bias);
      return spec;
    }
    if (blueprint_.fused_gate_up) {
      const std::string fused = name + ".gate_up_proj";
      spec.gate = composer_.linear(fused, {0, inner, 2 * inner}, in, bias);
      spec.up = composer_.linear(fused, {inner, inner, 2 * inner}, in, bias);
    } else {
      spec.gate = composer_.linear(name + ".gate_proj", inner, in, bias);
      spec.up = composer_.linear(name + ".up_proj", inner, in, bias);
    }
    spec.down = composer_.linear(name + ".down_proj", in, inner, bias);
    return spec;
  }

  void layer(std::size_t index) {
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
    composer_.layer(std::move(spec));
  }

  const ModelConfig& config_;
  const Blueprint& blueprint_;
  Composer composer_;
  std::size_t rotary_ = 0;
};

}  // namespace

FamilyModel compose(ModelConfig config, const Blueprint& blueprint) {
  Composition composition = Decoder(config, blueprint).compose();
  return {std::move(config), std::move(composition)};
}

}  // namespace ollm::models
