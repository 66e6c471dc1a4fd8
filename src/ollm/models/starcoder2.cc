// StarCoder 2: layer norms, a feed-forward without a gate, biases everywhere; a window in all
// layers. Source: Lozhkov et al., "StarCoder 2 and The Stack v2", 2024; Transformers, starcoder2.
#include <utility>

#include "ollm/models/blueprint.h"
#include "ollm/models/families.h"

namespace ollm::models {
namespace {

using checkpoint::ConfigObject;

constexpr ConfigDefaults kDefaults{
    .vocab_size = 49152,
    .hidden_size = 3072,
    .intermediate_size = 12288,
    .num_hidden_layers = 30,
    .num_attention_heads = 24,
    .num_key_value_heads = 2,
    .max_position_embeddings = 4096,
    .hidden_act = "gelu_pytorch_tanh",
    .norm_key = "norm_epsilon",
    .norm_eps = 1e-5,
    .tie_word_embeddings = true,
};

Result<FamilyModel> compose(const ConfigObject& config) {
  OLLM_TRY(ModelConfig model, read_decoder(config, "starcoder2", kDefaults));
  OLLM_TRY_VOID(read_one_window(config, 0, model));
  OLLM_TRY(model.mlp_bias, config.value_or<bool>("use_bias", true));
  model.qkv_bias = model.output_bias = model.mlp_bias;
  model.norm_kind = NormKind::layer;
  return models::compose(std::move(model), {.norm_bias = true, .gated = false});
}

}  // namespace

const Family kStarcoder2{.name = "starcoder2",
                         .model_type = "starcoder2",
                         .architecture = "Starcoder2ForCausalLM",
                         .compose = compose};

}  // namespace ollm::models
