// config.json as one typed value, in the form of Transformers 4 and of 5. Every key is used, listed
// as known to be without effect, or refused by name.
// Leaves to others: what a family makes of it (families.h) and the tensors (inventory.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ollm/backend/backend.h"
#include "ollm/base/json_reader.h"
#include "ollm/base/result.h"

namespace ollm::models {

/// Far above any published model, far below what could overflow a product of three of them.
struct ModelConfigLimits {
  static constexpr std::int64_t kDimension = std::int64_t{1} << 24;  // of any size
  static constexpr std::int64_t kLayers = 10'000;
  static constexpr std::int64_t kHeads = 65'536;
  static constexpr std::int64_t kPositions = std::int64_t{1} << 31;
};

enum class RotaryType { default_, linear, llama3, yarn };

/// config.json: rope_theta and rope_scaling (Transformers 4) or rope_parameters (5).
struct RotaryConfig {
  RotaryType type = RotaryType::default_;
  double theta = 10000;
  double factor = 1;
  double partial_rotary_factor = 1;
  std::size_t original_max_position_embeddings = 0;
  double low_freq_factor = 1, high_freq_factor = 4;                // llama3
  std::optional<double> attention_factor, mscale, mscale_all_dim;  // yarn
  double beta_fast = 32, beta_slow = 1;
  bool truncate = true;

  friend bool operator==(const RotaryConfig&, const RotaryConfig&) = default;
};

/// Spelt as in config.json where the field is there.
struct ModelConfig {
  std::string model_type;
  std::string architecture;  // the first of `architectures`; empty where absent

  std::size_t hidden_size = 0;
  std::size_t intermediate_size = 0;
  std::size_t num_hidden_layers = 0;
  std::size_t num_attention_heads = 0;
  std::size_t num_key_value_heads = 0;
  std::size_t head_dim = 0;
  std::size_t vocab_size = 0;
  std::size_t max_position_embeddings = 0;
  float norm_eps = 0;       // rms_norm_eps, norm_epsilon or layer_norm_eps
  bool layer_norm = false;  // it was one of the last two
  RotaryConfig rotary;

  /// Nothing where the key is absent: what that means is the family's business.
  std::optional<backend::Activation> hidden_act;
  std::optional<bool> tie_word_embeddings;
  std::optional<bool> attention_bias, mlp_bias, use_bias;

  /// Per layer: 0 for full history, else the window (sliding_window, layer_types).
  std::vector<std::size_t> windows;
  /// Per layer: whether q and k are rotated (no_rope_layers).
  std::vector<bool> rotated;

  std::optional<double> embedding_multiplier, attention_multiplier, residual_multiplier,
      logits_scaling;

  std::optional<std::int64_t> bos_token_id;
  std::vector<std::int64_t> eos_token_ids;

  /// Keys that are known here, change what is computed, and belong to few families: present and not
  /// without effect. A family refuses those that it does not know.
  std::vector<std::string> special_keys;
  /// Keys that nobody knows, in the order of the file. Refused unless given by name.
  std::vector<std::string> unknown_keys;

  friend bool operator==(const ModelConfig&, const ModelConfig&) = default;
};

/// Reads config.json. Dimensions are checked against the limits of model_config.cc and against each
/// other before anything is sized by them.
/// Errors: corrupt for a field of the wrong type or out of its range, or dimensions that do not
/// divide; not_found for a required field; unsupported for an unknown activation or rotary type,
/// for quantized weights and for `auto_map` (remote code), each by name.
Result<ModelConfig> parse_model_config(const Json& config);

/// Errors: unsupported, naming every unknown key that `allowed` does not hold.
Result<void> check_unknown_keys(const ModelConfig& config, const std::vector<std::string>& allowed);

}  // namespace ollm::models
