// GLM 4, of 2024 (glm) and 2025 (glm4, with norms behind its blocks, too): neighbours turn in half
// of each head, gate and up are one matrix. Source: GLM team, "ChatGLM", 2024; Transformers, glm,
// glm4.
#include <utility>

#include "ollm/models/blueprint.h"
#include "ollm/models/families.h"

namespace ollm::models {
namespace {

using checkpoint::ConfigObject;

constexpr ConfigDefaults kDefaults{
    .vocab_size = 151552,
    .hidden_size = 4096,
    .intermediate_size = 13696,
    .num_hidden_layers = 40,
    .num_attention_heads = 32,
    .num_key_value_heads = 2,
    .head_dim = 128,
    .max_position_embeddings = 131072,
    .norm_eps = 1.5625e-7,
    .rotary = {.partial = true, .partial_rotary_factor = 0.5},
};
constexpr LayerNorms kNormsAroundGlm{"input_layernorm", "post_self_attn_layernorm",
                                     "post_attention_layernorm", "post_mlp_layernorm"};

Result<FamilyModel> compose(const ConfigObject& config, std::string_view name,
                            const LayerNorms& norms) {
  OLLM_TRY(ModelConfig model, read_decoder(config, name, kDefaults));
  OLLM_TRY(model.qkv_bias, config.value_or<bool>("attention_bias", true));
  return models::compose(std::move(model),
                         {.norms = norms, .fused_gate_up = true, .interleaved = true});
}

}  // namespace

const Family kGlm{
    .name = "glm",
    .model_type = "glm",
    .architecture = "GlmForCausalLM",
    .compose = [](const ConfigObject& config) { return compose(config, "glm", kNormsBefore); }};

const Family kGlm4{
    .name = "glm4",
    .model_type = "glm4",
    .architecture = "Glm4ForCausalLM",
    .compose = [](const ConfigObject& config) { return compose(config, "glm4", kNormsAroundGlm); }};

}  // namespace ollm::models
