// Seed-OSS: Llama with biases that keys say one by one. Source: ByteDance Seed, "Seed-OSS", 2025;
// Transformers, seed_oss.
#include <utility>

#include "ollm/models/blueprint.h"
#include "ollm/models/families.h"

namespace ollm::models {
namespace {

using checkpoint::ConfigObject;

constexpr ConfigDefaults kDefaults{
    .vocab_size = 155136,
    .hidden_size = 4096,
    .intermediate_size = 27648,
    .num_hidden_layers = 64,
    .num_attention_heads = 80,
    .num_key_value_heads = 8,
    .head_dim = 128,
    .max_position_embeddings = 524288,
    .norm_eps = 1e-6,
};

Result<FamilyModel> compose(const ConfigObject& config) {
  OLLM_TRY(ModelConfig model, read_decoder(config, "seed_oss", kDefaults));
  OLLM_TRY(model.qkv_bias, config.value_or<bool>("attention_bias", true));
  OLLM_TRY(model.output_bias, config.value_or<bool>("attention_out_bias", false));
  OLLM_TRY(model.mlp_bias, config.value_or<bool>("mlp_bias", false));
  return models::compose(std::move(model), {});
}

}  // namespace

const Family kSeedOss{.name = "seed_oss",
                      .model_type = "seed_oss",
                      .architecture = "SeedOssForCausalLM",
                      .compose = compose};

}  // namespace ollm::models
