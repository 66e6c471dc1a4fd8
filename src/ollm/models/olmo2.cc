// OLMo 2: norms behind each block, and of whole rows of q and k.
// Source: OLMo team, "2 OLMo 2 Furious", 2024; Transformers, olmo2.
#include <utility>

#include "ollm/models/blueprint.h"
#include "ollm/models/families.h"

namespace ollm::models {
namespace {

using checkpoint::ConfigObject;

constexpr ConfigDefaults kDefaults{
    .vocab_size = 50304,
    .hidden_size = 4096,
    .intermediate_size = 11008,
    .num_hidden_layers = 32,
    .num_attention_heads = 32,
    .max_position_embeddings = 2048,
    .norm_eps = 1e-5,
};

Result<FamilyModel> compose(const ConfigObject& config) {
  OLLM_TRY(ModelConfig model, read_decoder(config, "olmo2", kDefaults));
  OLLM_TRY_VOID(read_attention_bias(config, model));
  return models::compose(std::move(model), {.norms = kNormsAfter, .qk_norm = QkNorm::whole_row});
}

}  // namespace

const Family kOlmo2{
    .name = "olmo2", .model_type = "olmo2", .architecture = "Olmo2ForCausalLM", .compose = compose};

}  // namespace ollm::models
