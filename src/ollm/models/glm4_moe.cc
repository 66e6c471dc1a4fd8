// GLM 4.5: sigmoid scores with a correction, groups, a shared expert; the first layers are dense, a
// part of each head turns. Source: GLM-4.5 team, "GLM-4.5", 2025; Transformers, glm4_moe.
#include <fmt/format.h>

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
    .vocab_size = 151552,
    .hidden_size = 4096,
    .intermediate_size = 10944,
    .num_hidden_layers = 46,
    .num_attention_heads = 96,
    .num_key_value_heads = 8,
    .max_position_embeddings = 131072,
    .norm_eps = 1e-5,
    .rotary = {.partial = true, .partial_rotary_factor = 0.5},
};
constexpr MixtureKeys kKeys{.experts = {"n_routed_experts", "num_local_experts", 128},
                            .per_token = {"num_experts_per_tok", "", 8},
                            .inner = {"moe_intermediate_size", "", 1408}};
// Far above the one that is published.
constexpr std::int64_t kGuessingHeads = 64;

Result<void> read_rule(const ConfigObject& config, MixtureConfig& mixture) {
  OLLM_TRY_VOID(read_norm_topk(config, true, mixture));
  OLLM_TRY_VOID(read_groups(config, mixture));
  OLLM_TRY(mixture.routed_scaling_factor, read_multiplier(config, "routed_scaling_factor", 1));
  OLLM_TRY(const auto dense,
           config.value_or<std::size_t>("first_k_dense_replace", 1,
                                        IntegerRange::non_negative(ModelConfigLimits::kLayers)));
  for (std::size_t i = 0; i < mixture.sparse.size(); ++i) mixture.sparse[i] = i >= dense;
  OLLM_TRY(const auto shared,
           config.value_or<std::size_t>("n_shared_experts", 1, IntegerRange::positive(1024)));
  mixture.shared_expert_intermediate_size = shared * mixture.moe_intermediate_size;
  return {};
}

Result<FamilyModel> compose(const ConfigObject& config) {
  OLLM_TRY(ModelConfig model, read_decoder(config, "glm4_moe", kDefaults));
  OLLM_TRY(model.qkv_bias, config.value_or<bool>("attention_bias", false));
  OLLM_TRY(const bool normed, config.value_or<bool>("use_qk_norm", false));
  OLLM_TRY(model.mixture, read_mixture(config, model, kKeys));
  OLLM_TRY_VOID(read_rule(config, *model.mixture));
  OLLM_TRY(const auto heads, read_aliased(config, {"num_nextn_predict_layers", "num_mtp_layers", 1},
                                          IntegerRange::non_negative(kGuessingHeads)));
  for (std::size_t i = 0; i < static_cast<std::size_t>(heads); ++i)
    model.guessing_heads.push_back(fmt::format("model.layers.{}.*", model.num_hidden_layers + i));
  return models::compose(std::move(model),
                         {.qk_norm = normed ? QkNorm::per_head : QkNorm::none,
                          .mixture = MixtureBlueprint{.correction = "gate.e_score_correction_bias",
                                                      .shared = "shared_experts",
                                                      .scores = RouterSpec::Scores::sigmoid,
                                                      .sum_offset = 1e-20F}});
}

}  // namespace

const Family kGlm4Moe{.name = "glm4_moe",
                      .model_type = "glm4_moe",
                      .architecture = "Glm4MoeForCausalLM",
                      .compose = compose};

}  // namespace ollm::models
