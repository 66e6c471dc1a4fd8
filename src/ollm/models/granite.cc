// Granite 3: Llama with multipliers of embeddings, scores, residuals and logits.
// Source: Granite team, IBM, 2024; Transformers, granite.
#include <utility>

#include "ollm/models/blueprint.h"
#include "ollm/models/families.h"

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

Result<FamilyModel> compose(const ConfigObject& config) {
  OLLM_TRY(ModelConfig model, read_decoder(config, "granite", kDefaults));
  OLLM_TRY_VOID(read_attention_bias(config, model));
  OLLM_TRY(model.mlp_bias, config.value_or<bool>("mlp_bias", false));
  OLLM_TRY(model.embedding_multiplier, read_multiplier(config, "embedding_multiplier", 1));
  OLLM_TRY(model.attention_multiplier, read_multiplier(config, "attention_multiplier", 1));
  OLLM_TRY(model.residual_multiplier, read_multiplier(config, "residual_multiplier", 1));
  OLLM_TRY(model.logits_scaling, read_multiplier(config, "logits_scaling", 1));
  return models::compose(std::move(model), {});
}

}  // namespace

const Family kGranite{.name = "granite",
                      .model_type = "granite",
                      .architecture = "GraniteForCausalLM",
                      .compose = compose};

}  // namespace ollm::models
