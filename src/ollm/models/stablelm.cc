// StableLM 2: layer norms, a quarter of each head turns; both blocks may stand side by side behind
// one norm. Source: Bellagente et al., "Stable LM 2 1.6B", 2024; Transformers, stablelm.
#include <utility>

#include "ollm/models/blueprint.h"
#include "ollm/models/families.h"

namespace ollm::models {
namespace {

using checkpoint::ConfigObject;

constexpr ConfigDefaults kDefaults{
    .vocab_size = 50304,
    .hidden_size = 2560,
    .intermediate_size = 6912,
    .num_hidden_layers = 32,
    .num_attention_heads = 32,
    .num_key_value_heads = 32,
    .max_position_embeddings = 4096,
    .norm_key = "layer_norm_eps",
    .norm_eps = 1e-5,
    .rotary = {.partial = true, .partial_rotary_factor = 0.25},
};

Result<FamilyModel> compose(const ConfigObject& config) {
  OLLM_TRY(ModelConfig model, read_decoder(config, "stablelm", kDefaults));
  model.norm_kind = NormKind::layer;
  OLLM_TRY(model.qkv_bias, config.value_or<bool>("use_qkv_bias", false));
  OLLM_TRY(const bool normed, config.value_or<bool>("qk_layernorm", false));
  if (normed) {
    return config.error(ErrorKind::unsupported, "qk_layernorm",
                        "norms of q and k with weights of each head are not built");
  }
  OLLM_TRY(const bool parallel, config.value_or<bool>("use_parallel_residual", false));
  Blueprint blueprint{.norm_bias = true};
  if (parallel) {
    blueprint.norms = kOneNorm;
    blueprint.wiring = Wiring::parallel;
  }
  return models::compose(std::move(model), blueprint);
}

}  // namespace

const Family kStableLm{.name = "stablelm",
                       .model_type = "stablelm",
                       .architecture = "StableLmForCausalLM",
                       .compose = compose};

}  // namespace ollm::models
