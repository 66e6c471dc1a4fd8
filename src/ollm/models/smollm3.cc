// SmolLM3: Llama some of whose layers do not rotate.
// Source: Bakouch et al., "SmolLM3", 2025; Transformers, smollm3.
#include <utility>

#include "ollm/models/blueprint.h"
#include "ollm/models/families.h"

namespace ollm::models {
namespace {

using checkpoint::ConfigObject;

constexpr ConfigDefaults kDefaults{
    .vocab_size = 128256,
    .hidden_size = 2048,
    .intermediate_size = 11008,
    .num_hidden_layers = 36,
    .num_attention_heads = 16,
    .num_key_value_heads = 4,
    .max_position_embeddings = 32768,
    .norm_eps = 1e-6,
    .tie_word_embeddings = true,
    .rotary = {.theta = 2000000},
};

// no_rope_layers (1 rotates, 0 does not), or the interval that makes it.
Result<void> read_rotated_layers(const ConfigObject& config, ModelConfig& model) {
  using checkpoint::IntegerRange;
  OLLM_TRY(const auto layers, config.list<std::int64_t>("no_rope_layers"));
  OLLM_TRY(const auto interval,
           config.value_or<std::int64_t>("no_rope_layer_interval", 4,
                                         IntegerRange::positive(ModelConfigLimits::kLayers)));
  if (!layers.empty() && layers.size() < model.num_hidden_layers)
    return not_one_a_layer(config, "no_rope_layers", model, layers.size());
  for (std::size_t i = 0; i < model.rotated.size(); ++i) {
    model.rotated[i] =
        layers.empty() ? (i + 1) % static_cast<std::size_t>(interval) != 0 : layers[i] != 0;
  }
  return {};
}

// layer_types, or where the switch is on, those layers that do not rotate.
Result<void> read_windows(const ConfigObject& config, ModelConfig& model) {
  using checkpoint::IntegerRange;
  OLLM_TRY(const bool on, config.value_or<bool>("use_sliding_window", false));
  OLLM_TRY(const auto window,
           config.optional<std::int64_t>("sliding_window",
                                         IntegerRange::positive(ModelConfigLimits::kPositions)));
  const auto width = static_cast<std::size_t>(window.value_or(0));
  OLLM_TRY(const bool listed, read_layer_types(config, width, model));
  if (listed) return {};
  for (std::size_t i = 0; i < model.windows.size(); ++i)
    model.windows[i] = on && !model.rotated[i] ? width : 0;
  return {};
}

Result<FamilyModel> compose(const ConfigObject& config) {
  OLLM_TRY(ModelConfig model, read_decoder(config, "smollm3", kDefaults));
  OLLM_TRY_VOID(read_attention_bias(config, model));
  OLLM_TRY(model.mlp_bias, config.value_or<bool>("mlp_bias", false));
  OLLM_TRY_VOID(read_rotated_layers(config, model));
  OLLM_TRY_VOID(read_windows(config, model));
  return models::compose(std::move(model), {});
}

}  // namespace

const Family kSmolLm3{.name = "smollm3",
                      .model_type = "smollm3",
                      .architecture = "SmolLM3ForCausalLM",
                      .compose = compose};

}  // namespace ollm::models
