// Qwen 3 with experts: some layers may be dense; a window is for all layers.
// Source: Yang et al., "Qwen3 Technical Report", 2025; Transformers, qwen3_moe.
#include <utility>

#include "ollm/models/blueprint.h"
#include "ollm/models/families.h"
#include "ollm/models/mixture_config.h"

namespace ollm::models {
namespace {

using checkpoint::ConfigObject;

constexpr ConfigDefaults kDefaults{
    .vocab_size = 151936,
    .hidden_size = 2048,
    .intermediate_size = 6144,
    .num_hidden_layers = 24,
    .num_attention_heads = 32,
    .num_key_value_heads = 4,
    .max_position_embeddings = 32768,
    .norm_eps = 1e-6,
};
constexpr MixtureKeys kKeys{.experts = {"num_experts", "num_local_experts", 128},
                            .per_token = {"num_experts_per_tok", "", 8},
                            .inner = {"moe_intermediate_size", "", 768}};

Result<FamilyModel> compose(const ConfigObject& config) {
  OLLM_TRY(ModelConfig model, read_decoder(config, "qwen3_moe", kDefaults));
  OLLM_TRY_VOID(read_attention_bias(config, model));
  OLLM_TRY(const bool slides, config.value_or<bool>("use_sliding_window", false));
  if (slides) {
    OLLM_TRY_VOID(read_one_window(config, 4096, model));
  } else {
    config.ignore("sliding_window");  // as if it was not there
  }
  OLLM_TRY(model.mixture, read_mixture(config, model, kKeys));
  OLLM_TRY_VOID(read_norm_topk(config, false, *model.mixture));
  OLLM_TRY_VOID(read_sparse_layers(config, *model.mixture));
  return models::compose(std::move(model),
                         {.qk_norm = QkNorm::per_head, .mixture = MixtureBlueprint{}});
}

}  // namespace

const Family kQwen3Moe{.name = "qwen3_moe",
                       .model_type = "qwen3_moe",
                       .architecture = "Qwen3MoeForCausalLM",
                       .compose = compose};

}  // namespace ollm::models
