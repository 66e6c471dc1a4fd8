// Cohere's Command R and Aya (cohere) and Command R7B and A (cohere2): both blocks side by side
// behind one layer norm without a bias, neighbours turn, logits are scaled; of 2 only sliding
// layers turn. Source: Transformers, cohere and cohere2.
#include <cstddef>
#include <utility>

#include "ollm/models/blueprint.h"
#include "ollm/models/families.h"

namespace ollm::models {
namespace {

using checkpoint::ConfigObject;

using checkpoint::IntegerRange;

constexpr ConfigDefaults defaults_of(double theta) {
  return {
      .vocab_size = 256000,
      .hidden_size = 8192,
      .intermediate_size = 22528,
      .num_hidden_layers = 40,
      .num_attention_heads = 64,
      .max_position_embeddings = 8192,
      .norm_key = "layer_norm_eps",
      .norm_eps = 1e-5,
      .tie_word_embeddings = true,
      .rotary = {.theta = theta},
  };
}
constexpr ConfigDefaults kFirst = defaults_of(500000);
constexpr ConfigDefaults kSecond = defaults_of(10000);

Result<ModelConfig> read(const ConfigObject& config, std::string_view name,
                         const ConfigDefaults& defaults) {
  OLLM_TRY(ModelConfig model, read_decoder(config, name, defaults));
  model.norm_kind = NormKind::layer;
  OLLM_TRY_VOID(read_attention_bias(config, model));
  OLLM_TRY(model.logit_scale, read_multiplier(config, "logit_scale", 0.0625));
  return model;
}

constexpr Blueprint kBlueprint{.norms = kOneNorm, .wiring = Wiring::parallel, .interleaved = true};

Result<FamilyModel> compose_first(const ConfigObject& config) {
  OLLM_TRY(ModelConfig model, read(config, "cohere", kFirst));
  OLLM_TRY(const bool normed, config.value_or<bool>("use_qk_norm", false));
  Blueprint blueprint = kBlueprint;
  if (normed) blueprint.qk_norm = QkNorm::each_head;
  return models::compose(std::move(model), blueprint);
}

Result<FamilyModel> compose_second(const ConfigObject& config) {
  OLLM_TRY(ModelConfig model, read(config, "cohere2", kSecond));
  OLLM_TRY(const auto period,
           config.value_or<std::size_t>("sliding_window_pattern", 4,
                                        IntegerRange::positive(ModelConfigLimits::kLayers)));
  OLLM_TRY_VOID(read_window_pattern(config, 4096, period, model));
  for (std::size_t i = 0; i < model.rotated.size(); ++i) model.rotated[i] = model.windows[i] != 0;
  return models::compose(std::move(model), kBlueprint);
}

}  // namespace

const Family kCohere{.name = "cohere",
                     .model_type = "cohere",
                     .architecture = "CohereForCausalLM",
                     .compose = compose_first};

const Family kCohere2{.name = "cohere2",
                      .model_type = "cohere2",
                      .architecture = "Cohere2ForCausalLM",
                      .compose = compose_second};

}  // namespace ollm::models
