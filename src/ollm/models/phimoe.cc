// Phi-3.5-MoE: layer norms, biases, two experts a row by sparse mixing, longrope with magnitudes of
// its own. Beyond the first length it has the long factors, as the publisher's code does;
// Transformers 5 takes the short ones there. Source: Abdin et al., "Phi-3 Technical Report", 2024;
// Transformers, phimoe.
#include <utility>

#include "ollm/models/blueprint.h"
#include "ollm/models/families.h"
#include "ollm/models/mixture_config.h"

namespace ollm::models {
namespace {

using checkpoint::ConfigObject;

constexpr ConfigDefaults kDefaults{
    .vocab_size = 32064,
    .hidden_size = 4096,
    .intermediate_size = 6400,
    .num_hidden_layers = 32,
    .num_attention_heads = 32,
    .num_key_value_heads = 8,
    .max_position_embeddings = 4096 * 32,
    .norm_eps = 1e-5,
    .rotary = {.theta = 1000000, .mscales = true},
};
// Whatever num_experts_per_tok says, a row meets two: the rule has no other number.
constexpr MixtureKeys kKeys{.experts = {"num_local_experts", "", 16}, .per_token = {"", "", 2}};

Result<FamilyModel> compose(const ConfigObject& config) {
  OLLM_TRY(ModelConfig model, read_decoder(config, "phimoe", kDefaults));
  model.norm_kind = NormKind::layer;
  OLLM_TRY_VOID(read_attention_bias(config, model));
  OLLM_TRY(model.lm_head_bias, config.value_or<bool>("lm_head_bias", false));
  OLLM_TRY_VOID(read_one_window(config, 0, model));
  OLLM_TRY(model.mixture, read_mixture(config, model, kKeys));
  OLLM_TRY(
      model.mixture->router_jitter_noise,
      config.value_or<double>("router_jitter_noise", 0.01, checkpoint::NumberRange{0, 1e6, false}));
  return models::compose(std::move(model),
                         {.norm_bias = true,
                          .mixture = MixtureBlueprint{.block = "block_sparse_moe",
                                                      .names = kW1W3W2,
                                                      .scores = RouterSpec::Scores::sparse_mixer}});
}

}  // namespace

const Family kPhiMoe{.name = "phimoe",
                     .model_type = "phimoe",
                     .architecture = "PhimoeForCausalLM",
                     .compose = compose};

}  // namespace ollm::models
