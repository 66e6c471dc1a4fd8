// Mistral: Llama whose every layer sees a window, or none.
// Source: Jiang et al., "Mistral 7B", 2023; Transformers, mistral.
#include <utility>

#include "ollm/models/blueprint.h"
#include "ollm/models/families.h"

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
    .norm_eps = 1e-6,
};

Result<FamilyModel> compose(const ConfigObject& config) {
  OLLM_TRY(ModelConfig model, read_decoder(config, "mistral", kDefaults));
  OLLM_TRY_VOID(read_one_window(config, 4096, model));
  return models::compose(std::move(model), {});
}

}  // namespace

const Family kMistral{.name = "mistral",
                      .model_type = "mistral",
                      .architecture = "MistralForCausalLM",
                      .compose = compose};

}  // namespace ollm::models
