// OLMo 3: OLMo 2 with sliding layers, three of four, which a scaled rotary leaves as they are.
// Source: OLMo team, "Olmo 3", 2025; Transformers, olmo3.
#include <utility>

#include "ollm/models/blueprint.h"
#include "ollm/models/families.h"

namespace ollm::models {
namespace {

using checkpoint::ConfigObject;

constexpr double kTheta = 500000;

constexpr ConfigDefaults kDefaults{
    .vocab_size = 50304,
    .hidden_size = 4096,
    .intermediate_size = 11008,
    .num_hidden_layers = 32,
    .num_attention_heads = 32,
    .max_position_embeddings = 2048,
    .norm_eps = 1e-5,
    .rotary_by_type = true,
};

Result<FamilyModel> compose(const ConfigObject& config) {
  OLLM_TRY(ModelConfig model, read_decoder(config, "olmo3", kDefaults));
  OLLM_TRY_VOID(read_attention_bias(config, model));
  OLLM_TRY_VOID(read_window_pattern(config, 4096, 4, model));
  OLLM_TRY(model.rotary,
           read_rotary_of_type(config, {.type = "full_attention", .theta = kTheta, .scaled = true},
                               model.head_dim, model.max_position_embeddings));
  // rope_theta is of the full layers alone: Transformers takes it out before it comes to these.
  OLLM_TRY(
      model.sliding_rotary,
      read_rotary_of_type(config, {.type = "sliding_attention", .theta_key = "", .theta = kTheta},
                          model.head_dim, model.max_position_embeddings));
  return models::compose(std::move(model), {.norms = kNormsAfter, .qk_norm = QkNorm::whole_row});
}

}  // namespace

const Family kOlmo3{
    .name = "olmo3", .model_type = "olmo3", .architecture = "Olmo3ForCausalLM", .compose = compose};

}  // namespace ollm::models
