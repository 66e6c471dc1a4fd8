// gpt-oss: attention sinks, windows in every second layer, yarn, biases; experts in MXFP4 with a
// clamped activation. Source: OpenAI, "gpt-oss-120b & gpt-oss-20b Model Card", 2025; Transformers,
// gpt_oss.
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>

#include "ollm/models/blueprint.h"
#include "ollm/models/families.h"
#include "ollm/models/mixture_config.h"

namespace ollm::models {
namespace {

using checkpoint::ConfigObject;

using checkpoint::IntegerRange;
using checkpoint::NumberRange;

constexpr ConfigDefaults kDefaults{
    .vocab_size = 201088,
    .hidden_size = 2880,
    .intermediate_size = 2880,
    .num_hidden_layers = 36,
    .num_attention_heads = 64,
    .num_key_value_heads = 8,
    .head_dim = 64,
    .max_position_embeddings = 131072,
    .norm_eps = 1e-5,
    .rotary = {.theta = 150000},
};
constexpr MixtureKeys kKeys{.experts = {"num_local_experts", "num_experts", 128},
                            .per_token = {"num_experts_per_tok", "", 4}};

// What Transformers takes where neither form of the rotary's keys stands there.
void take_absent_rotary(const ConfigObject& config, RotaryConfig& rotary) {
  for (const char* key : {"rope_scaling", "rope_parameters"})
    if (const Json* said = config.raw(key); said != nullptr && !said->is_null()) return;
  rotary.type = RotaryType::yarn;
  rotary.factor = 32;
  rotary.original_max_position_embeddings = 4096;
  rotary.truncate = false;
}

// layer_types, or every second layer from the first on.
Result<void> read_windows(const ConfigObject& config, ModelConfig& model) {
  OLLM_TRY(const auto window,
           config.value_or<std::int64_t>("sliding_window", config.has("sliding_window") ? 0 : 128,
                                         IntegerRange::positive(ModelConfigLimits::kPositions)));
  const auto width = static_cast<std::size_t>(window);
  OLLM_TRY(const bool listed, read_layer_types(config, width, model));
  if (listed) return {};
  if (width == 0)
    return config.error(ErrorKind::corrupt, "sliding_window", "expected a number, found null");
  for (std::size_t i = 0; i < model.windows.size(); ++i) model.windows[i] = i % 2 == 0 ? width : 0;
  return {};
}

Result<FamilyModel> compose(const ConfigObject& config) {
  OLLM_TRY(ModelConfig model, read_decoder(config, "gpt_oss", kDefaults));
  take_absent_rotary(config, model.rotary);
  OLLM_TRY(model.qkv_bias, config.value_or<bool>("attention_bias", true));
  model.output_bias = model.qkv_bias;
  OLLM_TRY_VOID(read_windows(config, model));
  OLLM_TRY(model.mixture, read_mixture(config, model, kKeys));
  OLLM_TRY(model.mixture->swiglu_alpha, read_multiplier(config, "swiglu_alpha", 1.702));
  OLLM_TRY(model.mixture->swiglu_limit, read_multiplier(config, "swiglu_limit", 7));
  return models::compose(std::move(model), {.sinks = true,
                                            .mixture = MixtureBlueprint{
                                                .router = "router",
                                                .storage = ExpertStorage::gpt_oss,
                                                .scores = RouterSpec::Scores::softmax_of_chosen}});
}

}  // namespace

const Family kGptOss{.name = "gpt_oss",
                     .provider_id = "gpt-oss-native",
                     .model_type = "gpt_oss",
                     .architecture = "GptOssForCausalLM",
                     .compose = compose};

}  // namespace ollm::models
