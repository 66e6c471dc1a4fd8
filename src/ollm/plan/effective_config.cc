#include "ollm/plan/effective_config.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "ollm/base/utf8.h"

namespace ollm::plan {
namespace {

using Json = nlohmann::ordered_json;
using models::RotaryConfig;
using models::RotaryType;

RotaryParameters rotary_of(const RotaryConfig& rotary) {
  RotaryParameters out;
  out.rope_type = models::to_string(rotary.type);
  out.rope_theta = rotary.theta;
  out.partial_rotary_factor = rotary.partial_rotary_factor;
  if (rotary.type == RotaryType::default_) return out;
  out.factor = rotary.factor;
  if (rotary.original_max_position_embeddings != 0)
    out.original_max_position_embeddings = rotary.original_max_position_embeddings;
  if (rotary.type == RotaryType::llama3) {
    out.low_freq_factor = rotary.low_freq_factor;
    out.high_freq_factor = rotary.high_freq_factor;
  }
  out.attention_factor = rotary.attention_factor;
  if (rotary.type == RotaryType::yarn) {
    out.mscale = rotary.mscale;
    out.mscale_all_dim = rotary.mscale_all_dim;
    out.beta_fast = rotary.beta_fast;
    out.beta_slow = rotary.beta_slow;
    out.truncate = rotary.truncate;
  }
  if (rotary.type == RotaryType::longrope) {
    out.short_factor = rotary.short_factor;
    out.long_factor = rotary.long_factor;
  }
  return out;
}

template <typename T>
Json maybe(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json rotary_json(const RotaryParameters& rotary) {
  return {{"rope_type", rotary.rope_type},
          {"rope_theta", rotary.rope_theta},
          {"partial_rotary_factor", rotary.partial_rotary_factor},
          {"factor", maybe(rotary.factor)},
          {"original_max_position_embeddings", maybe(rotary.original_max_position_embeddings)},
          {"low_freq_factor", maybe(rotary.low_freq_factor)},
          {"high_freq_factor", maybe(rotary.high_freq_factor)},
          {"attention_factor", maybe(rotary.attention_factor)},
          {"mscale", maybe(rotary.mscale)},
          {"mscale_all_dim", maybe(rotary.mscale_all_dim)},
          {"beta_fast", maybe(rotary.beta_fast)},
          {"beta_slow", maybe(rotary.beta_slow)},
          {"truncate", maybe(rotary.truncate)},
          {"short_factor", maybe(rotary.short_factor)},
          {"long_factor", maybe(rotary.long_factor)}};
}

}  // namespace

EffectiveConfig effective_config(const models::ModelConfig& config) {
  EffectiveConfig out;
  if (!config.family.empty()) out.family = config.family;
  out.model_type = config.model_type;
  out.hidden_size = config.hidden_size;
  out.intermediate_size = config.intermediate_size;
  out.num_hidden_layers = config.num_hidden_layers;
  out.num_attention_heads = config.num_attention_heads;
  out.num_key_value_heads = config.num_key_value_heads;
  out.head_dim = config.head_dim;
  out.vocab_size = config.vocab_size;
  out.max_position_embeddings = config.max_position_embeddings;
  out.usable_positions = models::usable_positions(config);
  out.hidden_act = models::to_string(config.hidden_act);
  out.norm = config.norm_kind == models::NormKind::rms ? "rms" : "layer";
  out.norm_eps = config.norm_eps;
  out.tie_word_embeddings = config.tie_word_embeddings;
  out.qkv_bias = config.qkv_bias;
  out.attention_output_bias = config.output_bias;
  out.mlp_bias = config.mlp_bias;
  out.rope_parameters = rotary_of(config.rotary);
  for (const std::size_t window : config.windows)
    out.layer_windows.push_back(window == 0 ? std::nullopt : std::optional(window));
  out.layer_rotates = config.rotated;
  out.embedding_multiplier = config.embedding_multiplier;
  out.attention_multiplier =
      config.attention_multiplier.value_or(1 / std::sqrt(static_cast<double>(config.head_dim)));
  out.residual_multiplier = config.residual_multiplier;
  out.logits_scaling = config.logits_scaling;
  return out;
}

Json effective_config_json(const EffectiveConfig& config) {
  Json windows = Json::array();
  for (const auto& window : config.layer_windows) windows.push_back(maybe(window));
  Json rotates = Json::array();
  for (const bool layer : config.layer_rotates) rotates.push_back(layer);
  return {{"family", maybe(config.family)},
          {"model_type", json_text(config.model_type)},
          {"hidden_size", config.hidden_size},
          {"intermediate_size", config.intermediate_size},
          {"num_hidden_layers", config.num_hidden_layers},
          {"num_attention_heads", config.num_attention_heads},
          {"num_key_value_heads", config.num_key_value_heads},
          {"head_dim", config.head_dim},
          {"vocab_size", config.vocab_size},
          {"max_position_embeddings", config.max_position_embeddings},
          {"usable_positions", config.usable_positions},
          {"hidden_act", config.hidden_act},
          {"norm", config.norm},
          {"norm_eps", config.norm_eps},
          {"tie_word_embeddings", config.tie_word_embeddings},
          {"biases",
           {{"qkv", config.qkv_bias},
            {"attention_output", config.attention_output_bias},
            {"mlp", config.mlp_bias}}},
          {"rope_parameters", rotary_json(config.rope_parameters)},
          {"layer_windows", std::move(windows)},
          {"layer_rotates", std::move(rotates)},
          {"embedding_multiplier", config.embedding_multiplier},
          {"attention_multiplier", config.attention_multiplier},
          {"residual_multiplier", config.residual_multiplier},
          {"logits_scaling", config.logits_scaling}};
}

}  // namespace ollm::plan
