// Qwen 1.5 to 2.5: Llama with biases of q, k and v; layers from one on may slide.
// Source: Yang et al., "Qwen2 Technical Report", 2024; Transformers, qwen2.
#include <utility>

#include "ollm/models/blueprint.h"
#include "ollm/models/families.h"

namespace ollm::models {
namespace {

using checkpoint::ConfigObject;

constexpr ConfigDefaults kDefaults{
    .vocab_size = 151936,
    .hidden_size = 4096,
    .intermediate_size = 22016,
    .num_hidden_layers = 32,
    .num_attention_heads = 32,
    .num_key_value_heads = 32,
    .max_position_embeddings = 32768,
    .norm_eps = 1e-6,
};

Result<FamilyModel> compose(const ConfigObject& config) {
  OLLM_TRY(ModelConfig model, read_decoder(config, "qwen2", kDefaults));
  OLLM_TRY_VOID(read_qwen_windows(config, model));
  model.qkv_bias = true;
  return models::compose(std::move(model), {});
}

}  // namespace

const Family kQwen2{
    .name = "qwen2", .model_type = "qwen2", .architecture = "Qwen2ForCausalLM", .compose = compose};

}  // namespace ollm::models
