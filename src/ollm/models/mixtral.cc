// Mixtral: Mistral whose feed-forwards are mixtures; the chosen weigh their softmax, normalised.
// Source: Jiang et al., "Mixtral of Experts", 2024; Transformers, mixtral.
#include <utility>

#include "ollm/models/blueprint.h"
#include "ollm/models/families.h"
#include "ollm/models/mixture_config.h"

namespace ollm::models {
namespace {

using checkpoint::ConfigObject;

constexpr ConfigDefaults kDefaults{
    .vocab_size = 32000,
    .hidden_size = 4096,
    .intermediate_size = 14336,
    .num_hidden_layers = 32,
    .num_attention_heads = 32,
    .num_key_value_heads = 8,
    .max_position_embeddings = 4096 * 32,
    .norm_eps = 1e-5,
    .rotary = {.theta = 1000000},
};
constexpr MixtureKeys kKeys{.experts = {"num_local_experts", "num_experts", 8},
                            .per_token = {"num_experts_per_tok", "", 2}};

Result<FamilyModel> compose(const ConfigObject& config) {
  OLLM_TRY(ModelConfig model, read_decoder(config, "mixtral", kDefaults));
  OLLM_TRY_VOID(read_one_window(config, 0, model));
  OLLM_TRY(model.mixture, read_mixture(config, model, kKeys));
  model.mixture->norm_topk_prob = true;
  return models::compose(std::move(model), {.mixture = MixtureBlueprint{.block = "block_sparse_moe",
                                                                        .names = kW1W3W2}});
}

}  // namespace

const Family kMixtral{.name = "mixtral",
                      .model_type = "mixtral",
                      .architecture = "MixtralForCausalLM",
                      .compose = compose};

}  // namespace ollm::models
