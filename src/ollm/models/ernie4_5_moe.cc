// Ernie 4.5 with experts: neighbours turn, layers of a range are mixtures with shared experts, and
// a correction takes part in the choice. Source: Baidu, "ERNIE 4.5 Technical Report", 2025;
// Transformers, ernie4_5_moe.
#include <cstddef>
#include <cstdint>
#include <utility>

#include "ollm/models/blueprint.h"
#include "ollm/models/families.h"
#include "ollm/models/mixture_config.h"

namespace ollm::models {
namespace {

using checkpoint::ConfigObject;

using checkpoint::IntegerRange;

constexpr ConfigDefaults kDefaults{
    .vocab_size = 103424,
    .hidden_size = 2560,
    .intermediate_size = 12288,
    .num_hidden_layers = 28,
    .num_attention_heads = 20,
    .num_key_value_heads = 4,
    .max_position_embeddings = 131072,
    .norm_eps = 1e-5,
    .tie_word_embeddings = true,
    .rotary = {.theta = 500000},
};
constexpr MixtureKeys kKeys{.experts = {"moe_num_experts", "num_experts", 64},
                            .per_token = {"moe_k", "num_experts_per_tok", 6},
                            .inner = {"moe_intermediate_size", "", 1536}};

// Of the layers from the first to the last, both of them too, every so manyth of the model's.
Result<void> read_layers(const ConfigObject& config, MixtureConfig& mixture) {
  constexpr IntegerRange kIndexes{-1, ModelConfigLimits::kLayers};
  OLLM_TRY(const auto first, config.value_or<std::int64_t>("moe_layer_start_index", 1, kIndexes));
  OLLM_TRY(const auto last, config.value_or<std::int64_t>("moe_layer_end_index", -1, kIndexes));
  OLLM_TRY(const auto interval,
           config.value_or<std::int64_t>("moe_layer_interval", 1,
                                         IntegerRange::positive(ModelConfigLimits::kLayers)));
  for (std::size_t i = 0; i < mixture.sparse.size(); ++i) {
    const auto layer = static_cast<std::int64_t>(i);
    mixture.sparse[i] =
        (layer + 1) % interval == 0 && layer >= first && (last == -1 || layer <= last);
  }
  return {};
}

Result<FamilyModel> compose(const ConfigObject& config) {
  OLLM_TRY(ModelConfig model, read_decoder(config, "ernie4_5_moe", kDefaults));
  OLLM_TRY(model.mlp_bias, config.value_or<bool>("use_bias", false));
  model.qkv_bias = model.output_bias = model.lm_head_bias = model.mlp_bias;
  OLLM_TRY(model.mixture, read_mixture(config, model, kKeys));
  MixtureConfig& mixture = *model.mixture;
  OLLM_TRY_VOID(read_layers(config, mixture));
  OLLM_TRY(const auto shared, config.value_or<std::size_t>("moe_num_shared_experts", 2,
                                                           IntegerRange::non_negative(1024)));
  mixture.shared_expert_intermediate_size = shared * mixture.moe_intermediate_size;
  mixture.norm_topk_prob = true;
  OLLM_TRY(mixture.moe_norm_min,
           config.value_or<double>("moe_norm_min", 1e-12, checkpoint::NumberRange{0, 1e9, false}));
  model.guessing_heads = {"mtp*", "model.mtp*"};
  return models::compose(std::move(model), {.interleaved = true,
                                            .mixture = MixtureBlueprint{
                                                .correction = "moe_statics.e_score_correction_bias",
                                                .correction_in_rows = true,
                                                .shared = "shared_experts"}});
}

}  // namespace

const Family kErnie45Moe{.name = "ernie4_5_moe",
                         .model_type = "ernie4_5_moe",
                         .architecture = "Ernie4_5_MoeForCausalLM",
                         .compose = compose};

}  // namespace ollm::models
