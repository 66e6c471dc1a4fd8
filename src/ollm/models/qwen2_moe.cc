// Qwen 1.5 and 2 with experts: a shared one beside them, weighed by a gate of its own; some layers
// may be dense. Source: Qwen team, "Qwen1.5-MoE", 2024; Transformers, qwen2_moe.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "ollm/models/blueprint.h"
#include "ollm/models/families.h"
#include "ollm/models/mixture_config.h"

namespace ollm::models {
namespace {

using checkpoint::ConfigObject;

constexpr ConfigDefaults kDefaults{
    .vocab_size = 151936,
    .hidden_size = 2048,
    .intermediate_size = 5632,
    .num_hidden_layers = 24,
    .num_attention_heads = 16,
    .num_key_value_heads = 16,
    .max_position_embeddings = 32768,
    .norm_eps = 1e-6,
};
constexpr MixtureKeys kKeys{.experts = {"num_experts", "", 60},
                            .per_token = {"num_experts_per_tok", "", 4},
                            .inner = {"moe_intermediate_size", "", 1408}};

// layer_types, or every second of the first layers, where the switch is on.
Result<void> read_windows(const ConfigObject& config, ModelConfig& model) {
  using checkpoint::IntegerRange;
  using Limits = ModelConfigLimits;
  OLLM_TRY(const bool on, config.value_or<bool>("use_sliding_window", false));
  if (!on) config.ignore("sliding_window");  // Transformers makes it zero
  const std::int64_t absent = config.has("sliding_window") ? 0 : 4096;
  OLLM_TRY(const auto window,
           on ? config.optional<std::int64_t>("sliding_window",
                                              IntegerRange::positive(Limits::kPositions))
              : Result<std::optional<std::int64_t>>(std::optional<std::int64_t>()));
  const std::size_t width = on ? static_cast<std::size_t>(window.value_or(absent)) : 0;
  OLLM_TRY(const auto end,
           config.value_or<std::int64_t>("max_window_layers", 28,
                                         IntegerRange{-Limits::kLayers, Limits::kPositions}));
  OLLM_TRY(const bool listed, read_layer_types(config, width, model));
  if (listed) return {};
  for (std::size_t i = 0; i < model.windows.size(); ++i)
    model.windows[i] = i % 2 == 0 && std::cmp_less(i, end) ? width : 0;
  return {};
}

Result<FamilyModel> compose(const ConfigObject& config) {
  OLLM_TRY(ModelConfig model, read_decoder(config, "qwen2_moe", kDefaults));
  OLLM_TRY(model.qkv_bias, config.value_or<bool>("qkv_bias", true));
  OLLM_TRY_VOID(read_windows(config, model));
  OLLM_TRY(model.mixture, read_mixture(config, model, kKeys));
  MixtureConfig& mixture = *model.mixture;
  OLLM_TRY_VOID(read_norm_topk(config, false, mixture));
  OLLM_TRY_VOID(read_sparse_layers(config, mixture));
  OLLM_TRY_VOID(read_shared_expert(config, 5632, mixture));
  return models::compose(std::move(model), {.mixture = kQwenSharedExpert});
}

}  // namespace

const Family kQwen2Moe{.name = "qwen2_moe",
                       .model_type = "qwen2_moe",
                       .architecture = "Qwen2MoeForCausalLM",
                       .compose = compose};

}  // namespace ollm::models
