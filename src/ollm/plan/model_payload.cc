#include "ollm/plan/model_payload.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "ollm/plan/payloads.h"

namespace ollm::plan {
namespace {

using Json = nlohmann::ordered_json;
using models::RotaryConfig;
using models::RotaryType;

// Every key always, null where the type has no such parameter.
Json rotary_payload(const RotaryConfig& rotary) {
  const RotaryType type = rotary.type;
  const auto of = [&](bool has, const auto& value) { return has ? Json(value) : Json(nullptr); };
  const auto maybe = [](std::optional<double> value) {
    return value ? Json(*value) : Json(nullptr);
  };
  const bool llama3 = type == RotaryType::llama3;
  const bool yarn = type == RotaryType::yarn;
  const bool longrope = type == RotaryType::longrope;
  return {{"rope_type", std::string(models::to_string(type))},
          {"rope_theta", rotary.theta},
          {"partial_rotary_factor", rotary.partial_rotary_factor},
          {"factor", of(type != RotaryType::default_, rotary.factor)},
          {"original_max_position_embeddings",
           of(llama3 || yarn || longrope, rotary.original_max_position_embeddings)},
          {"low_freq_factor", of(llama3, rotary.low_freq_factor)},
          {"high_freq_factor", of(llama3, rotary.high_freq_factor)},
          {"attention_factor", maybe(rotary.attention_factor)},
          {"mscale", maybe(rotary.mscale)},
          {"mscale_all_dim", maybe(rotary.mscale_all_dim)},
          {"beta_fast", of(yarn, rotary.beta_fast)},
          {"beta_slow", of(yarn, rotary.beta_slow)},
          {"truncate", of(yarn, rotary.truncate)},
          {"short_factor", of(longrope, rotary.short_factor)},
          {"long_factor", of(longrope, rotary.long_factor)}};
}

}  // namespace

Json model_payload(const models::ModelConfig& config) {
  Json out;
  out["family"] = config.family.empty() ? Json(nullptr) : Json(config.family);
  out["model_type"] = json_text(config.model_type);
  out["hidden_size"] = config.hidden_size;
  out["intermediate_size"] = config.intermediate_size;
  out["num_hidden_layers"] = config.num_hidden_layers;
  out["num_attention_heads"] = config.num_attention_heads;
  out["num_key_value_heads"] = config.num_key_value_heads;
  out["head_dim"] = config.head_dim;
  out["vocab_size"] = config.vocab_size;
  out["max_position_embeddings"] = config.max_position_embeddings;
  out["usable_positions"] = models::usable_positions(config);
  out["hidden_act"] = std::string(models::to_string(config.hidden_act));
  out["norm"] = config.norm_kind == models::NormKind::rms ? "rms" : "layer";
  out["norm_eps"] = config.norm_eps;
  out["tie_word_embeddings"] = config.tie_word_embeddings;
  out["biases"] = {
      {"qkv", config.qkv_bias}, {"attention_output", config.output_bias}, {"mlp", config.mlp_bias}};
  out["rope_parameters"] = rotary_payload(config.rotary);
  Json windows = Json::array();
  for (const std::size_t window : config.windows)
    windows.push_back(window == 0 ? Json(nullptr) : Json(window));
  out["layer_windows"] = std::move(windows);
  Json rotated = Json::array();
  for (const bool layer : config.rotated) rotated.push_back(layer);
  out["layer_rotates"] = std::move(rotated);
  out["embedding_multiplier"] = config.embedding_multiplier;
  out["attention_multiplier"] =
      config.attention_multiplier.value_or(1 / std::sqrt(static_cast<double>(config.head_dim)));
  out["residual_multiplier"] = config.residual_multiplier;
  out["logits_scaling"] = config.logits_scaling;
  return out;
}

}  // namespace ollm::plan
