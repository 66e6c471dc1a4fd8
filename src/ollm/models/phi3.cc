// Phi 3 and 4: Llama with fused projections, heads that turn in part, longrope beyond the first
// length. Source: Abdin et al., "Phi-3 Technical Report", 2024; Transformers, phi3.
#include <utility>

#include "ollm/models/blueprint.h"
#include "ollm/models/families.h"

namespace ollm::models {
namespace {

using checkpoint::ConfigObject;

constexpr ConfigDefaults kDefaults{
    .vocab_size = 32064,
    .hidden_size = 3072,
    .intermediate_size = 8192,
    .num_hidden_layers = 32,
    .num_attention_heads = 32,
    .max_position_embeddings = 4096,
    .norm_eps = 1e-5,
    .rotary = {.theta = 10000,
               .partial = true,
               .longrope_alone = true,
               .original_max_position_embeddings = 4096},
};

Result<FamilyModel> compose(const ConfigObject& config) {
  OLLM_TRY(ModelConfig model, read_decoder(config, "phi3", kDefaults));
  OLLM_TRY_VOID(read_one_window(config, 0, model));
  return models::compose(std::move(model), {.fused_qkv = true, .fused_gate_up = true});
}

}  // namespace

const Family kPhi3{
    .name = "phi3", .model_type = "phi3", .architecture = "Phi3ForCausalLM", .compose = compose};

}  // namespace ollm::models
