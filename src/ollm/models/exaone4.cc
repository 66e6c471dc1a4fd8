// EXAONE 4: norms behind both blocks and on heads; where some layers slide, only these turn.
// Source: LG AI Research, "EXAONE 4.0", 2025; Transformers, exaone4.
#include <cstddef>
#include <utility>

#include "ollm/models/blueprint.h"
#include "ollm/models/families.h"

namespace ollm::models {
namespace {

using checkpoint::ConfigObject;

using checkpoint::IntegerRange;

constexpr ConfigDefaults kDefaults{
    .vocab_size = 102400,
    .hidden_size = 4096,
    .intermediate_size = 16384,
    .num_hidden_layers = 32,
    .num_attention_heads = 32,
    .num_key_value_heads = 32,
    .max_position_embeddings = 2048,
    .norm_eps = 1e-5,
};

// "LLLG" of the published files says what layer_types beside it says; alone it is what Transformers
// cannot read either.
Result<void> read_windows(const ConfigObject& config, ModelConfig& model) {
  std::size_t period = 4;
  if (config.has("layer_types")) {
    config.ignore("sliding_window_pattern");
  } else {
    OLLM_TRY(period,
             config.value_or<std::size_t>("sliding_window_pattern", period,
                                          IntegerRange::positive(ModelConfigLimits::kLayers)));
  }
  return read_window_pattern(config, 4096, period, model);
}

Result<FamilyModel> compose(const ConfigObject& config) {
  OLLM_TRY(ModelConfig model, read_decoder(config, "exaone4", kDefaults));
  OLLM_TRY_VOID(read_windows(config, model));
  // A window, be it of no layer, says that full layers do not turn.
  OLLM_TRY(const auto window,
           config.optional<std::int64_t>("sliding_window",
                                         IntegerRange::positive(ModelConfigLimits::kPositions)));
  if (window || !config.has("sliding_window"))
    for (std::size_t i = 0; i < model.rotated.size(); ++i) model.rotated[i] = model.windows[i] != 0;
  return models::compose(std::move(model), {.norms = kNormsAfter, .qk_norm = QkNorm::per_head});
}

}  // namespace

const Family kExaone4{.name = "exaone4",
                      .model_type = "exaone4",
                      .architecture = "Exaone4ForCausalLM",
                      .compose = compose};

}  // namespace ollm::models
