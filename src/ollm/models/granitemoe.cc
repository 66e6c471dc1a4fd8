// Granite 3 with experts: Granite's multipliers; the softmax is of the chosen alone.
// Source: Granite team, IBM, 2024; Transformers, granitemoe.
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
    .intermediate_size = 11008,
    .num_hidden_layers = 32,
    .num_attention_heads = 32,
    .max_position_embeddings = 2048,
    .norm_eps = 1e-6,
};
constexpr MixtureKeys kKeys{.experts = {"num_local_experts", "", 8},
                            .per_token = {"num_experts_per_tok", "", 2}};

Result<FamilyModel> compose(const ConfigObject& config) {
  OLLM_TRY(ModelConfig model, read_decoder(config, "granitemoe", kDefaults));
  OLLM_TRY_VOID(read_attention_bias(config, model));
  OLLM_TRY(model.embedding_multiplier, read_multiplier(config, "embedding_multiplier", 1));
  OLLM_TRY(model.attention_multiplier, read_multiplier(config, "attention_multiplier", 1));
  OLLM_TRY(model.residual_multiplier, read_multiplier(config, "residual_multiplier", 1));
  OLLM_TRY(model.logits_scaling, read_multiplier(config, "logits_scaling", 1));
  OLLM_TRY(model.mixture, read_mixture(config, model, kKeys));
  return models::compose(std::move(model), {.mixture = MixtureBlueprint{
                                                .block = "block_sparse_moe",
                                                .router = "router.layer",
                                                .storage = ExpertStorage::granite,
                                                .scores = RouterSpec::Scores::softmax_of_chosen}});
}

}  // namespace

const Family kGraniteMoe{.name = "granitemoe",
                         .model_type = "granitemoe",
                         .architecture = "GraniteMoeForCausalLM",
                         .compose = compose};

}  // namespace ollm::models
