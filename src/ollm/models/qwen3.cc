// Qwen 3: Llama with a norm of each head of q and k; layers from one on may slide.
// Source: Yang et al., "Qwen3 Technical Report", 2025; Transformers, qwen3.
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
    .head_dim = 128,
    .max_position_embeddings = 32768,
    .norm_eps = 1e-6,
};

Result<FamilyModel> compose(const ConfigObject& config) {
  OLLM_TRY(ModelConfig model, read_decoder(config, "qwen3", kDefaults));
  OLLM_TRY_VOID(read_attention_bias(config, model));
  OLLM_TRY_VOID(read_qwen_windows(config, model));
  return models::compose(std::move(model), {.qk_norm = QkNorm::per_head});
}

}  // namespace

const Family kQwen3{
    .name = "qwen3", .model_type = "qwen3", .architecture = "Qwen3ForCausalLM", .compose = compose};

}  // namespace ollm::models
