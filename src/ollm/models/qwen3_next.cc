// Qwen 3 Next: three layers of four are gated delta nets, the fourth attention with a gated output,
// and all are mixtures with a shared expert; norms multiply by 1 + w, a quarter of each head turns.
// Source: Qwen team, "Qwen3-Next", 2025; Transformers, qwen3_next.
#include <utility>

#include "ollm/models/blueprint.h"
#include "ollm/models/delta_net_config.h"
#include "ollm/models/families.h"
#include "ollm/models/mixture_config.h"

namespace ollm::models {
namespace {

using checkpoint::ConfigObject;

constexpr ConfigDefaults kDefaults{
    .vocab_size = 151936,
    .hidden_size = 2048,
    .intermediate_size = 5632,
    .num_hidden_layers = 48,
    .num_attention_heads = 16,
    .num_key_value_heads = 2,
    .head_dim = 256,
    .max_position_embeddings = 32768,
    .norm_eps = 1e-6,
    .rotary = {.partial = true, .partial_rotary_factor = 0.25},
};
constexpr MixtureKeys kKeys{.experts = {"num_experts", "", 512},
                            .per_token = {"num_experts_per_tok", "", 10},
                            .inner = {"moe_intermediate_size", "", 512}};

Result<FamilyModel> compose(const ConfigObject& config) {
  OLLM_TRY(ModelConfig model, read_decoder(config, "qwen3_next", kDefaults));
  OLLM_TRY_VOID(read_attention_bias(config, model));
  OLLM_TRY(model.delta_nets, read_delta_nets(config, model));
  OLLM_TRY(model.mixture, read_mixture(config, model, kKeys));
  OLLM_TRY_VOID(read_norm_topk(config, true, *model.mixture));
  OLLM_TRY_VOID(read_sparse_layers(config, *model.mixture));
  OLLM_TRY_VOID(read_shared_expert(config, 512, *model.mixture));
  model.guessing_heads.emplace_back("mtp.*");
  return models::compose(std::move(model), {.one_plus_norms = true,
                                            .qk_norm = QkNorm::per_head,
                                            .gated_attention = true,
                                            .delta_nets = DeltaNetStorage::by_key_head,
                                            .mixture = kQwenSharedExpert});
}

}  // namespace

const Family kQwen3Next{.name = "qwen3_next",
                        .provider_id = "qwen3-next-native",
                        .model_type = "qwen3_next",
                        .architecture = "Qwen3NextForCausalLM",
                        .compose = compose};

}  // namespace ollm::models
