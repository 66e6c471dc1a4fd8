// What a family made of config.json: one typed value with every default filled in, and the readers
// of keys that families share. Leaves to others: which keys a family reads, with which defaults
// (models/<family>.cc), rotary embeddings (rotary_config.h), keys that nobody read (config_keys.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/backend/backend.h"
#include "ollm/base/json_reader.h"
#include "ollm/base/result.h"
#include "ollm/checkpoint/config_object.h"
#include "ollm/models/composition.h"
#include "ollm/models/delta_net_config.h"
#include "ollm/models/rotary_config.h"

namespace ollm::models {

/// Far above any published model, far below what could overflow a product of three of them.
struct ModelConfigLimits {
  static constexpr std::int64_t kDimension = std::int64_t{1} << 24;  // of any size
  static constexpr std::int64_t kLayers = 10'000;
  static constexpr std::int64_t kHeads = 65'536;
  static constexpr std::int64_t kPositions = std::int64_t{1} << 31;
  static constexpr std::int64_t kExperts = 16'384;  // of a layer
  static constexpr std::int64_t kExpertsOfAllLayers = std::int64_t{1} << 16;
};

/// The experts of a model, spelt as most types do.
struct MixtureConfig {
  std::size_t num_experts = 0;
  std::size_t num_experts_per_tok = 0;
  std::size_t moe_intermediate_size = 0;            // of one expert
  std::size_t shared_expert_intermediate_size = 0;  // of all that are shared; 0: none
  std::vector<bool> sparse;                         // per layer: whether it is a mixture
  bool norm_topk_prob = false;
  std::size_t n_group = 1;
  std::size_t topk_group = 1;
  double routed_scaling_factor = 1;
  double moe_norm_min = 0;
  double router_jitter_noise = 0;
  double swiglu_alpha = 1.702;
  double swiglu_limit = 7;

  friend bool operator==(const MixtureConfig&, const MixtureConfig&) = default;
};

/// Queries of Mistral 3: times 1 + beta * log(1 + floor(position / original)).
struct QueryGrowthConfig {
  double llama_4_scaling_beta = 0;
  std::size_t original_max_position_embeddings = 0;

  friend bool operator==(const QueryGrowthConfig&, const QueryGrowthConfig&) = default;
};

/// Its factors up to `positions`, step by step in f32 as Transformers computes them.
AttentionSpec::QueryGrowth query_growth(const QueryGrowthConfig& config, std::size_t positions);

/// Spelt as in config.json where it has such a key.
struct ModelConfig {
  std::string family;        // whose reading this is, "llama"; empty: by structure
  std::string model_type;    // as the file has it, or empty
  std::string architecture;  // the first of `architectures`; empty where absent

  std::size_t hidden_size = 0;
  std::size_t intermediate_size = 0;
  std::size_t num_hidden_layers = 0;
  std::size_t num_attention_heads = 0;
  std::size_t num_key_value_heads = 0;
  std::size_t head_dim = 0;
  std::size_t vocab_size = 0;
  std::size_t max_position_embeddings = 0;
  NormKind norm_kind = NormKind::rms;
  double norm_eps = 0;  // rms_norm_eps, norm_epsilon or layer_norm_eps
  backend::Activation hidden_act = backend::Activation::silu;
  RotaryConfig rotary;
  std::optional<RotaryConfig> sliding_rotary;  // of layers with a window, where it is another
  bool tie_word_embeddings = false;
  bool qkv_bias = false;
  bool output_bias = false;  // of attention
  bool mlp_bias = false;
  bool lm_head_bias = false;
  std::optional<MixtureConfig> mixture;
  std::optional<DeltaNetConfig> delta_nets;

  std::vector<std::size_t> windows;  // per layer: 0 for full history
  std::vector<bool> rotated;         // per layer: whether q and k are rotated

  double embedding_multiplier = 1;
  std::optional<double> attention_multiplier;  // of scores; nothing: 1 / sqrt(head_dim)
  double residual_multiplier = 1;
  double logits_scaling = 1;           // logits are divided by it
  double logit_scale = 1;              // and multiplied by this
  double final_logit_softcapping = 0;  // 0: none
  double attn_logit_softcapping = 0;   // 0: none
  std::optional<QueryGrowthConfig> query_growth;

  std::optional<std::int64_t> bos_token_id;
  std::vector<std::int64_t> eos_token_ids;

  /// Names of tensors, with `*` for any run of characters, that Transformers passes over: heads
  /// that guess further tokens.
  std::vector<std::string> guessing_heads;

  /// Keys that other types read and this one does not, in the order of the file: without effect.
  std::vector<std::string> keys_without_effect;
  /// Keys that nobody knows, in the order of the file. Refused unless given by name.
  std::vector<std::string> unknown_keys;

  friend bool operator==(const ModelConfig&, const ModelConfig&) = default;
};

/// Positions that may be planned: max_position_embeddings, or what yarn stretches the original
/// length to where that is more, as Qwen documents it.
std::size_t usable_positions(const ModelConfig& config);

/// Values of a config class where a key is absent; source: Transformers, configuration_*.py.
struct ConfigDefaults {
  static constexpr std::int64_t kNoSuchKey = -1;

  std::int64_t vocab_size = 0;
  std::int64_t hidden_size = 0;
  std::int64_t intermediate_size = 0;  // kNoSuchKey: of no layer
  std::int64_t num_hidden_layers = 0;
  std::int64_t num_attention_heads = 0;
  std::int64_t num_key_value_heads = 0;  // 0: as many as num_attention_heads, as where it is null
  std::int64_t head_dim = 0;             // 0: hidden_size / num_attention_heads
  std::int64_t max_position_embeddings = 2048;
  std::string_view hidden_act = "silu";
  std::string_view norm_key = "rms_norm_eps";
  double norm_eps = 1e-6;
  bool tie_word_embeddings = false;
  RotaryDefaults rotary = {};
  bool rotary_by_type = false;  // full and sliding layers have their own: read_rotaries_by_type
  std::string_view activation_key = "hidden_act";
};

/// What every decoder family reads: names, dimensions, activation, norm, rotary, head and the ids
/// of its first and last tokens; every layer sees the full history and is rotated. Dimensions are
/// checked against the limits and each other before anything is sized by them. Errors: corrupt for
/// a value of the wrong type or out of its range, or dimensions that do not divide; unsupported for
/// an unknown activation or rotary type; each by the key's name.
Result<ModelConfig> read_decoder(const checkpoint::ConfigObject& config, std::string_view family,
                                 const ConfigDefaults& defaults);

/// attention_bias, of q, k, v and the output alike; absent is none.
Result<void> read_attention_bias(const checkpoint::ConfigObject& config, ModelConfig& model);

/// sliding_window for all layers alike, `absent` where the key is not there (0: none); null is
/// none.
Result<void> read_one_window(const checkpoint::ConfigObject& config, std::size_t absent,
                             ModelConfig& model);

/// That a list of `found` entries under `key` has not one for each layer: corrupt.
Error not_one_a_layer(const checkpoint::ConfigObject& config, std::string_view key,
                      const ModelConfig& model, std::size_t found);

/// layer_types: which layers slide, by `width` (0: there is no window). False where it is absent.
/// Errors: corrupt for another number than of layers, or a sliding layer without a window;
/// unsupported for layers of another type.
Result<bool> read_layer_types(const checkpoint::ConfigObject& config, std::size_t width,
                              ModelConfig& model);

/// sliding_window (`absent` where the key is not there; null is none) of the layers that
/// layer_types says, or of all but every `period`-th. Errors: those of read_layer_types.
Result<void> read_window_pattern(const checkpoint::ConfigObject& config, std::size_t absent,
                                 std::size_t period, ModelConfig& model);

/// A cap of logits or scores under `key`; null is none, 0. Errors: corrupt where f32 cannot hold
/// it.
Result<double> read_soft_cap(const checkpoint::ConfigObject& config, std::string_view key,
                             double absent);

/// The switch, width and first sliding layer of Qwen 2 and 3.
Result<void> read_qwen_windows(const checkpoint::ConfigObject& config, ModelConfig& model);

/// A factor that multiplies or divides activations. Errors: corrupt where f32 cannot hold it.
Result<double> read_multiplier(const checkpoint::ConfigObject& config, std::string_view key,
                               double absent);

/// The activation of a name of Transformers. Errors: unsupported, naming `key`.
Result<backend::Activation> read_activation(const checkpoint::ConfigObject& config,
                                            std::string_view key, std::string_view absent);
std::string_view to_string(backend::Activation activation);

}  // namespace ollm::models
