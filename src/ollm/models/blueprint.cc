#include "ollm/models/blueprint.h"

#include <fmt/format.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

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
    sliding_rotary_ = rotary_;
    if (config_.sliding_rotary)
      sliding_rotary_ = composer_.rotary(rotary_spec(*config_.sliding_rotary, config_.head_dim));
    for (std::size_t i = 0; i < config_.num_hidden_layers; ++i) layer(i);
    composer_.final_norm(norm("model.norm", config_.hidden_size));
    composer_.head(config_.tie_word_embeddings ? kEmbedding : "lm_head.weight",
                   static_cast<float>(config_.logits_scaling), config_.lm_head_bias);
    composer_.logits(static_cast<float>(config_.logit_scale),
                     static_cast<float>(config_.final_logit_softcapping));
    return composer_.take();
  }

 private:
  NormSpec norm(const std::string& name, std::size_t size) {
    return composer_.norm(name, config_.norm_kind, size, static_cast<float>(config_.norm_eps),
                          blueprint_.norm_bias, blueprint_.one_plus_norms ? 1.0F : 0.0F);
  }

  NormSpec norm_of_heads(const std::string& name, std::size_t heads) {
    return {config_.norm_kind, composer_.values(name + ".weight", heads * config_.head_dim, heads),
            std::nullopt, static_cast<float>(config_.norm_eps)};
  }

  AttentionSpec attention(std::size_t index, const std::string& name) {
    AttentionSpec spec;
    spec.heads = config_.num_attention_heads;
    spec.kv_heads = config_.num_key_value_heads;
    spec.head_dim = config_.head_dim;
    spec.scale = static_cast<float>(config_.attention_multiplier.value_or(
        1.0 / std::sqrt(static_cast<double>(config_.head_dim))));
    spec.window = config_.windows[index];
    spec.soft_cap = static_cast<float>(config_.attn_logit_softcapping);
    if (config_.rotated[index]) spec.rotary = spec.window != 0 ? sliding_rotary_ : rotary_;
    if (config_.query_growth)
      spec.query_growth = query_growth(*config_.query_growth, usable_positions(config_));
    spec.interleaved = blueprint_.interleaved;
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
      spec.gated = blueprint_.gated_attention;
      spec.q = composer_.linear(name + ".q_proj", spec.gated ? 2 * q : q, in, bias);
      spec.k = composer_.linear(name + ".k_proj", kv, in, bias);
      spec.v = composer_.linear(name + ".v_proj", kv, in, bias);
    }
    if (blueprint_.qk_norm == QkNorm::each_head) {
      spec.q_norm = norm_of_heads(name + ".q_norm", spec.heads);
      spec.k_norm = norm_of_heads(name + ".k_norm", spec.kv_heads);
    } else if (blueprint_.qk_norm != QkNorm::none) {
      spec.norm_whole_row = blueprint_.qk_norm == QkNorm::whole_row;
      spec.q_norm = norm(name + ".q_norm", spec.norm_whole_row ? q : spec.head_dim);
      spec.k_norm = norm(name + ".k_norm", spec.norm_whole_row ? kv : spec.head_dim);
    }
    if (blueprint_.sinks) spec.sinks = composer_.values(name + ".sinks", spec.heads);
    spec.o = composer_.linear(name + ".o_proj", in, q, config_.output_bias);
    return spec;
  }

  DeltaNetSpec delta_net(const std::string& name) {
    const DeltaNetConfig& config = *config_.delta_nets;
    DeltaNetSpec spec;
    spec.layout = {config.linear_num_key_heads, config.linear_num_value_heads,
                   config.linear_key_head_dim, config.linear_value_head_dim};
    spec.taps = config.linear_conv_kernel_dim;
    spec.activation = config_.hidden_act;
    const std::size_t heads = config.linear_num_value_heads;
    const std::size_t in = config_.hidden_size;
    if (blueprint_.delta_nets == DeltaNetStorage::by_key_head) {
      const std::size_t all = spec.channels() + spec.values();
      spec.qkv = composer_.linear(name + ".in_proj_qkvz", all, in, false);
      spec.b = composer_.linear(name + ".in_proj_ba", 2 * heads, in, false);
    } else {
      spec.qkv = composer_.linear(name + ".in_proj_qkv", spec.channels(), in, false);
      spec.z = composer_.linear(name + ".in_proj_z", spec.values(), in, false);
      spec.b = composer_.linear(name + ".in_proj_b", heads, in, false);
      spec.a = composer_.linear(name + ".in_proj_a", heads, in, false);
    }
    spec.convolution = composer_.convolution(name + ".conv1d.weight", spec.channels(), spec.taps);
    spec.a_log = composer_.values(name + ".A_log", heads);
    spec.dt_bias = composer_.values(name + ".dt_bias", heads);
    spec.norm = composer_.norm(name + ".norm", NormKind::rms, spec.layout.value_size,
                               static_cast<float>(config_.norm_eps), false);
    spec.o = composer_.linear(name + ".out_proj", in, spec.values(), false);
    return spec;
  }

  DenseSpec feed_forward(const std::string& name, std::size_t inner) {
    DenseSpec spec;
    spec.activation = config_.hidden_act;
    const std::size_t in = config_.hidden_size;
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

  RouterSpec router(const MixtureBlueprint& blueprint, const std::string& name) {
    const MixtureConfig& config = *config_.mixture;
    RouterSpec spec;
    const bool bias = blueprint.storage == ExpertStorage::gpt_oss;
    spec.products =
        composer_.router(fmt::format("{}.{}", name, blueprint.router), config.num_experts, bias);
    spec.scores = blueprint.scores;
    spec.chosen = config.num_experts_per_tok;
    if (!blueprint.correction.empty()) {
      spec.correction = composer_.values(fmt::format("{}.{}", name, blueprint.correction),
                                         config.num_experts, blueprint.correction_in_rows ? 1 : 0);
    }
    spec.groups = config.n_group;
    spec.chosen_groups = config.topk_group;
    spec.normalised = config.norm_topk_prob;
    spec.least_sum = static_cast<float>(config.moe_norm_min);
    spec.sum_offset = blueprint.sum_offset;
    spec.scaling = static_cast<float>(config.routed_scaling_factor);
    spec.jitter = static_cast<float>(config.router_jitter_noise);
    return spec;
  }

  std::vector<weights::ExpertsForm> expert_forms(const MixtureBlueprint& blueprint,
                                                 const std::string& name) const {
    using weights::GateUp;
    const MixtureConfig& config = *config_.mixture;
    const ExpertSizes sizes{config.num_experts, config_.hidden_size, config.moe_intermediate_size};
    const std::string gate_up = name + ".experts.gate_up_proj";
    const std::string down = name + ".experts.down_proj";
    switch (blueprint.storage) {
      case ExpertStorage::apart:
        return {experts_apart(sizes, name + ".experts", blueprint.names),
                experts_stacked(sizes, gate_up, down, GateUp::halves, WeightLayout::out_by_in)};
      case ExpertStorage::granite:
        return {experts_stacked(sizes, name + ".input_linear.weight",
                                name + ".output_linear.weight", GateUp::halves,
                                WeightLayout::out_by_in)};
      case ExpertStorage::gpt_oss:
        return {
            experts_stacked_mxfp4(sizes, gate_up, down, GateUp::interleaved),
            experts_stacked(sizes, gate_up, down, GateUp::interleaved, WeightLayout::in_by_out)};
    }
    return {};
  }

  MixtureSpec mixture(const MixtureBlueprint& blueprint, const std::string& name) {
    const MixtureConfig& config = *config_.mixture;
    MixtureSpec spec;
    spec.router = router(blueprint, name);
    spec.experts = composer_.experts(config.num_experts, expert_forms(blueprint, name));
    spec.inner = config.moe_intermediate_size;
    spec.activation = config_.hidden_act;
    if (blueprint.storage == ExpertStorage::gpt_oss) {
      spec.clamped = {static_cast<float>(config.swiglu_alpha),
                      static_cast<float>(config.swiglu_limit)};
      const std::size_t experts = config.num_experts;
      spec.gate_up_bias =
          composer_.values(name + ".experts.gate_up_proj_bias", experts * 2 * spec.inner, experts);
      spec.down_bias = composer_.values(name + ".experts.down_proj_bias",
                                        experts * config_.hidden_size, experts);
    }
    if (config.shared_expert_intermediate_size == 0) return spec;
    if (!blueprint.shared_gate.empty()) {
      spec.shared_gate = composer_.linear(fmt::format("{}.{}", name, blueprint.shared_gate), 1,
                                          config_.hidden_size, false);
    }
    spec.shared = feed_forward(fmt::format("{}.{}", name, blueprint.shared),
                               config.shared_expert_intermediate_size);
    return spec;
  }

  void layer(std::size_t index) {
    const std::string name = fmt::format("model.layers.{}", index);
    const std::size_t size = config_.hidden_size;
    LayerSpec spec;
    spec.wiring = blueprint_.wiring;
    const auto named = [&](std::string_view tensor) -> std::optional<NormSpec> {
      if (tensor.empty()) return std::nullopt;
      return norm(fmt::format("{}.{}", name, tensor), size);
    };
    const LayerNorms& norms = blueprint_.norms;
    spec.before_mixer = named(norms.before_mixer);
    spec.after_mixer = named(norms.after_mixer);
    spec.before_feed_forward = named(norms.before_feed_forward);
    spec.after_feed_forward = named(norms.after_feed_forward);
    if (config_.delta_nets && config_.delta_nets->layers[index]) {
      spec.mixer = delta_net(name + ".linear_attn");
    } else {
      spec.mixer = attention(index, name + ".self_attn");
    }
    if (config_.mixture && config_.mixture->sparse[index]) {
      const MixtureBlueprint& blueprint = *blueprint_.mixture;
      spec.feed_forward = mixture(blueprint, fmt::format("{}.{}", name, blueprint.block));
    } else {
      spec.feed_forward = feed_forward(name + ".mlp", config_.intermediate_size);
    }
    composer_.layer(std::move(spec));
  }

  const ModelConfig& config_;
  const Blueprint& blueprint_;
  Composer composer_;
  std::size_t rotary_ = 0;
  std::size_t sliding_rotary_ = 0;  // of layers with a window
};

}  // namespace

FamilyModel compose(ModelConfig config, const Blueprint& blueprint) {
  Composition composition = Decoder(config, blueprint).compose();
  return {std::move(config), std::move(composition)};
}

}  // namespace ollm::models
