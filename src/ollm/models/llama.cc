// Llama 1 to 3: RMS norms before each block, grouped heads, rotary, SwiGLU; biases by config.
// Source: Touvron et al., 2023; Dubey et al., 2024; Transformers, llama.
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
  OLLM_TRY(ModelConfig model, read_decoder(config, "llama", kDefaults));
  OLLM_TRY_VOID(read_attention_bias(config, model));
  OLLM_TRY(model.mlp_bias, config.value_or<bool>("mlp_bias", false));
  return models::compose(std::move(model), {});
}

}  // namespace

const Family kLlama{.name = "llama",
                    .provider_id = "llama-native",
                    .model_type = "llama",
                    .architecture = "LlamaForCausalLM",
                    .compose = compose};

}  // namespace ollm::models
