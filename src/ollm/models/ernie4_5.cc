// ERNIE 4.5, the dense ones: Llama with one key for all biases and a rotary that turns neighbours.
// Source: Baidu, "ERNIE 4.5", 2025; Transformers, ernie4_5.
#include <utility>

#include "ollm/models/blueprint.h"
#include "ollm/models/families.h"

namespace ollm::models {
namespace {

using checkpoint::ConfigObject;

constexpr ConfigDefaults kDefaults{
    .vocab_size = 103424,
    .hidden_size = 1024,
    .intermediate_size = 3072,
    .num_hidden_layers = 18,
    .num_attention_heads = 16,
    .num_key_value_heads = 2,
    .head_dim = 128,
    .max_position_embeddings = 131072,
    .norm_eps = 1e-5,
    .tie_word_embeddings = true,
    .rotary = {.theta = 500000},
};

Result<FamilyModel> compose(const ConfigObject& config) {
  OLLM_TRY(ModelConfig model, read_decoder(config, "ernie4_5", kDefaults));
  OLLM_TRY(const bool biases, config.value_or<bool>("use_bias", false));
  model.qkv_bias = model.output_bias = model.mlp_bias = biases;
  return models::compose(std::move(model), {.interleaved = true});
}

}  // namespace

const Family kErnie45{.name = "ernie4_5",
                      .model_type = "ernie4_5",
                      .architecture = "Ernie4_5ForCausalLM",
                      .compose = compose};

}  // namespace ollm::models
