// Qwen 3.5, the text model, dense and with experts: Qwen 3 Next's layers with projections of their
// own for what that one fuses. Of positions in images three differ; in a text they are one.
// Source: Transformers, qwen3_5 and qwen3_5_moe.
#include <utility>

#include "ollm/models/blueprint.h"
#include "ollm/models/delta_net_config.h"
#include "ollm/models/families.h"
#include "ollm/models/mixture_config.h"

namespace ollm::models {
namespace {

using checkpoint::ConfigObject;

constexpr ConfigDefaults kDense{
    .vocab_size = 248320,
    .hidden_size = 4096,
    .intermediate_size = 12288,
    .num_hidden_layers = 32,
    .num_attention_heads = 16,
    .num_key_value_heads = 4,
    .head_dim = 256,
    .max_position_embeddings = 32768,
    .norm_eps = 1e-6,
    .rotary = {.partial = true, .partial_rotary_factor = 0.25},
};
constexpr ConfigDefaults kWithExperts{
    .vocab_size = 248320,
    .hidden_size = 2048,
    .intermediate_size = ConfigDefaults::kNoSuchKey,
    .num_hidden_layers = 40,
    .num_attention_heads = 16,
    .num_key_value_heads = 2,
    .head_dim = 256,
    .max_position_embeddings = 32768,
    .norm_eps = 1e-6,
    .rotary = {.partial = true, .partial_rotary_factor = 0.25},
};
constexpr MixtureKeys kKeys{.experts = {"num_experts", "", 256},
                            .per_token = {"num_experts_per_tok", "", 8},
                            .inner = {"moe_intermediate_size", "", 512}};

constexpr Blueprint kBlueprint{.one_plus_norms = true,
                               .qk_norm = QkNorm::per_head,
                               .gated_attention = true,
                               .delta_nets = DeltaNetStorage::apart};

Result<ModelConfig> read_layers(const ConfigObject& config, std::string_view family,
                                const ConfigDefaults& defaults) {
  OLLM_TRY(ModelConfig model, read_decoder(config, family, defaults));
  OLLM_TRY_VOID(read_attention_bias(config, model));
  OLLM_TRY(model.delta_nets, read_delta_nets(config, model));
  model.guessing_heads.emplace_back("mtp.*");
  return model;
}

Result<FamilyModel> compose_dense(const ConfigObject& config) {
  OLLM_TRY(ModelConfig model, read_layers(config, "qwen3_5", kDense));
  return models::compose(std::move(model), kBlueprint);
}

Result<FamilyModel> compose_with_experts(const ConfigObject& config) {
  OLLM_TRY(ModelConfig model, read_layers(config, "qwen3_5_moe", kWithExperts));
  OLLM_TRY(model.mixture, read_mixture(config, model, kKeys));
  model.mixture->norm_topk_prob = true;
  OLLM_TRY_VOID(read_shared_expert(config, 512, *model.mixture));
  Blueprint blueprint = kBlueprint;
  blueprint.mixture = kQwenSharedExpert;
  return models::compose(std::move(model), blueprint);
}

}  // namespace

const Family kQwen35{.name = "qwen3_5",
                     .model_type = "qwen3_5_text",
                     .architecture = "Qwen3_5ForCausalLM",
                     .compose = compose_dense};

const Family kQwen35Moe{.name = "qwen3_5_moe",
                        .model_type = "qwen3_5_moe_text",
                        .architecture = "Qwen3_5MoeForCausalLM",
                        .compose = compose_with_experts};

}  // namespace ollm::models
