// Gemma, 1 to 3: norms multiply by 1 + w, embeddings by the root of their size, GELU by tanh. From
// 2 on norms stand around both blocks and scores are scaled by a key of their own; 2 caps scores
// and logits; 3 norms queries and keys, and its sliding layers turn by another base. Source: Gemma
// team, "Gemma 2", 2024, and "Gemma 3", 2025; Transformers, gemma, gemma2, gemma3.
#include <cmath>
#include <cstdint>
#include <utility>

#include "ollm/models/blueprint.h"
#include "ollm/models/families.h"

namespace ollm::models {
namespace {

using checkpoint::ConfigObject;
using checkpoint::IntegerRange;

constexpr ConfigDefaults kGemmaDefaults{
    .vocab_size = 256000,
    .hidden_size = 3072,
    .intermediate_size = 24576,
    .num_hidden_layers = 28,
    .num_attention_heads = 16,
    .num_key_value_heads = 16,
    .head_dim = 256,
    .max_position_embeddings = 8192,
    .hidden_act = "gelu_pytorch_tanh",
    .norm_eps = 1e-6,
    .tie_word_embeddings = true,
};
constexpr ConfigDefaults kGemma2Defaults{
    .vocab_size = 256000,
    .hidden_size = 2304,
    .intermediate_size = 9216,
    .num_hidden_layers = 26,
    .num_attention_heads = 8,
    .num_key_value_heads = 4,
    .head_dim = 256,
    .max_position_embeddings = 8192,
    .hidden_act = "gelu_pytorch_tanh",
    .norm_eps = 1e-6,
    .tie_word_embeddings = true,
    .activation_key = "hidden_activation",
};
// Of the same size where no key says another.
constexpr ConfigDefaults kGemma3Defaults = [] {
  ConfigDefaults defaults = kGemma2Defaults;
  defaults.vocab_size = 262208;
  defaults.max_position_embeddings = 131072;
  defaults.rotary_by_type = true;
  return defaults;
}();

Result<void> read_what_all_have(const ConfigObject& config, ModelConfig& model) {
  OLLM_TRY_VOID(read_attention_bias(config, model));
  OLLM_TRY(const bool both_ways, config.value_or<bool>("use_bidirectional_attention", false));
  if (both_ways) {
    return config.error(ErrorKind::unsupported, "use_bidirectional_attention",
                        "expected false: attention to later positions is not built");
  }
  model.embedding_multiplier = std::sqrt(static_cast<double>(model.hidden_size));
  return {};
}

Result<void> read_scale(const ConfigObject& config, ModelConfig& model) {
  OLLM_TRY(const auto scalar,
           config.value_or<std::int64_t>("query_pre_attn_scalar", 256,
                                         IntegerRange::positive(ModelConfigLimits::kDimension)));
  model.attention_multiplier = 1 / std::sqrt(static_cast<double>(scalar));
  return {};
}

Result<FamilyModel> compose_gemma(const ConfigObject& config) {
  OLLM_TRY(ModelConfig model, read_decoder(config, "gemma", kGemmaDefaults));
  // The first files say "gelu" and mean its tanh form.
  if (model.hidden_act == backend::Activation::gelu)
    model.hidden_act = backend::Activation::gelu_tanh;
  OLLM_TRY_VOID(read_what_all_have(config, model));
  return models::compose(std::move(model), {.one_plus_norms = true});
}

Result<FamilyModel> compose_gemma2(const ConfigObject& config) {
  OLLM_TRY(ModelConfig model, read_decoder(config, "gemma2", kGemma2Defaults));
  OLLM_TRY_VOID(read_what_all_have(config, model));
  OLLM_TRY_VOID(read_scale(config, model));
  OLLM_TRY(model.attn_logit_softcapping, read_soft_cap(config, "attn_logit_softcapping", 50));
  OLLM_TRY(model.final_logit_softcapping, read_soft_cap(config, "final_logit_softcapping", 30));
  OLLM_TRY_VOID(read_window_pattern(config, 4096, 2, model));
  return models::compose(std::move(model), {.norms = kNormsAround, .one_plus_norms = true});
}

Result<FamilyModel> compose_gemma3(const ConfigObject& config) {
  OLLM_TRY(ModelConfig model, read_decoder(config, "gemma3", kGemma3Defaults));
  OLLM_TRY_VOID(read_what_all_have(config, model));
  OLLM_TRY_VOID(read_scale(config, model));
  // attn_logit_softcapping has no effect: Transformers does not hand it on.
  OLLM_TRY(model.final_logit_softcapping, read_soft_cap(config, "final_logit_softcapping", 0));
  OLLM_TRY(const auto period,
           config.value_or<std::size_t>("sliding_window_pattern", 6,
                                        IntegerRange::positive(ModelConfigLimits::kLayers)));
  config.ignore("_sliding_window_pattern");  // Transformers writes it, and reads layer_types
  OLLM_TRY_VOID(read_window_pattern(config, 4096, period, model));
  OLLM_TRY(model.rotary,
           read_rotary_of_type(config, {.type = "full_attention", .theta = 1e6, .scaled = true},
                               model.head_dim, model.max_position_embeddings));
  OLLM_TRY(model.sliding_rotary,
           read_rotary_of_type(config,
                               {.type = "sliding_attention", .theta_key = "rope_local_base_freq"},
                               model.head_dim, model.max_position_embeddings));
  return models::compose(
      std::move(model),
      {.norms = kNormsAround, .one_plus_norms = true, .qk_norm = QkNorm::per_head});
}

}  // namespace

const Family kGemma{.name = "gemma",
                    .model_type = "gemma",
                    .architecture = "GemmaForCausalLM",
                    .compose = compose_gemma};

const Family kGemma2{.name = "gemma2",
                     .model_type = "gemma2",
                     .architecture = "Gemma2ForCausalLM",
                     .compose = compose_gemma2};

const Family kGemma3{.name = "gemma3",
                     .provider_id = "gemma3-native",
                     .model_type = "gemma3_text",
                     .architecture = "Gemma3ForCausalLM",
                     .compose = compose_gemma3};

}  // namespace ollm::models
