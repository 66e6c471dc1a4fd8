#include "ollm/models/model_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

namespace ollm::models {
namespace {

using checkpoint::ConfigObject;
using checkpoint::IntegerRange;
using checkpoint::NumberRange;

using Limits = ModelConfigLimits;

// What numbers of config.json become in f32 is neither zero nor infinite within it.
constexpr NumberRange kMultipliers{1e-9, 1e9, false};

struct NamedActivation {
  std::string_view name;
  backend::Activation activation;
};
constexpr NamedActivation kActivations[] = {
    {"silu", backend::Activation::silu},
    {"swish", backend::Activation::silu},
    {"gelu", backend::Activation::gelu},
    {"gelu_pytorch_tanh", backend::Activation::gelu_tanh},
    {"gelu_new", backend::Activation::gelu_tanh},
    {"gelu_fast", backend::Activation::gelu_tanh},
    {"relu", backend::Activation::relu},
    {"relu2", backend::Activation::relu_squared},
};

Result<std::size_t> read_size(const ConfigObject& config, std::string_view key, std::int64_t absent,
                              std::int64_t limit) {
  // A default of 0 is none: the key is required. Null is no size, whatever is the default.
  if (absent == 0 || config.has(key)) {
    OLLM_TRY(const auto size, config.required<std::int64_t>(key, IntegerRange::positive(limit)));
    return static_cast<std::size_t>(size);
  }
  return static_cast<std::size_t>(absent);
}

Result<void> read_heads(const ConfigObject& config, const ConfigDefaults& defaults,
                        ModelConfig& model) {
  OLLM_TRY(model.num_attention_heads,
           read_size(config, "num_attention_heads", defaults.num_attention_heads, Limits::kHeads));
  const auto all = static_cast<std::int64_t>(model.num_attention_heads);
  // Null is as many as there are heads, also where a class has a number for an absent key.
  const bool absent = !config.has("num_key_value_heads") && defaults.num_key_value_heads != 0;
  OLLM_TRY(const auto kv_heads,
           config.value_or<std::int64_t>("num_key_value_heads",
                                         absent ? defaults.num_key_value_heads : all,
                                         IntegerRange::positive(Limits::kHeads)));
  model.num_key_value_heads = static_cast<std::size_t>(kv_heads);
  if (model.num_attention_heads % model.num_key_value_heads != 0) {
    return config.error(ErrorKind::corrupt, "num_key_value_heads",
                        fmt::format("expected a divisor of num_attention_heads {}, found {}",
                                    model.num_attention_heads, model.num_key_value_heads));
  }
  OLLM_TRY(const auto head_dim,
           config.optional<std::int64_t>("head_dim", IntegerRange::positive(Limits::kHeads)));
  const std::int64_t otherwise = config.has("head_dim") ? 0 : defaults.head_dim;
  if (const std::int64_t said = head_dim.value_or(otherwise); said != 0) {
    model.head_dim = static_cast<std::size_t>(said);
  } else if (model.hidden_size % model.num_attention_heads == 0) {
    model.head_dim = model.hidden_size / model.num_attention_heads;
  } else {
    return config.error(ErrorKind::corrupt, "num_attention_heads",
                        fmt::format("expected a divisor of hidden_size {}, found {}",
                                    model.hidden_size, model.num_attention_heads));
  }
  return {};
}

// What Transformers obeys for every type: positions that see those behind them (anything but true
// turns that on), layers with a config of their own.
Result<void> refuse_what_all_obey(const ConfigObject& config) {
  if (config.has("is_causal")) {
    OLLM_TRY(const bool causal, config.value_or<bool>("is_causal", false));
    if (!causal) {
      return config.error(ErrorKind::unsupported, "is_causal",
                          "expected true: attention to later positions is not built");
    }
  }
  OLLM_TRY(const auto layers, config.optional_object("per_layer_config"));
  if (!layers || layers->empty()) return {};
  return config.error(ErrorKind::unsupported, "per_layer_config",
                      "layers with a config of their own are not built");
}

}  // namespace

std::string_view to_string(backend::Activation activation) {
  for (const NamedActivation& known : kActivations)
    if (known.activation == activation) return known.name;
  return "silu";
}

Result<backend::Activation> read_activation(const ConfigObject& config, std::string_view key,
                                            std::string_view absent) {
  OLLM_TRY(const std::string name, config.value_or<std::string>(key, std::string(absent)));
  std::vector<std::string_view> names;
  for (const NamedActivation& known : kActivations) {
    if (known.name == name) return known.activation;
    names.push_back(known.name);
  }
  return config.error(
      ErrorKind::unsupported, key,
      fmt::format("activation '{}' is not built; there are {}", name, fmt::join(names, ", ")));
}

std::size_t usable_positions(const ModelConfig& config) {
  const RotaryConfig& rotary = config.rotary;
  if (rotary.type != RotaryType::yarn) return config.max_position_embeddings;
  const double stretched =
      static_cast<double>(rotary.original_max_position_embeddings) * rotary.factor;
  const double most = std::min(stretched, static_cast<double>(Limits::kPositions));
  return std::max(config.max_position_embeddings, static_cast<std::size_t>(most));
}

Result<ModelConfig> read_decoder(const ConfigObject& config, std::string_view family,
                                 const ConfigDefaults& defaults) {
  ModelConfig model;
  model.family = family;
  OLLM_TRY(model.model_type, config.value_or<std::string>("model_type", ""));
  OLLM_TRY(const auto architectures, config.list<std::string>("architectures"));
  if (!architectures.empty()) model.architecture = architectures.front();
  OLLM_TRY_VOID(refuse_what_all_obey(config));

  const auto size = [&](std::string_view key, std::int64_t absent, std::int64_t limit,
                        std::size_t& out) -> Result<void> {
    OLLM_TRY(out, read_size(config, key, absent, limit));
    return {};
  };
  OLLM_TRY_VOID(size("hidden_size", defaults.hidden_size, Limits::kDimension, model.hidden_size));
  if (defaults.intermediate_size != ConfigDefaults::kNoSuchKey) {
    OLLM_TRY_VOID(size("intermediate_size", defaults.intermediate_size, Limits::kDimension,
                       model.intermediate_size));
  }
  OLLM_TRY_VOID(size("num_hidden_layers", defaults.num_hidden_layers, Limits::kLayers,
                     model.num_hidden_layers));
  OLLM_TRY_VOID(size("vocab_size", defaults.vocab_size, Limits::kDimension, model.vocab_size));
  OLLM_TRY_VOID(size("max_position_embeddings", defaults.max_position_embeddings,
                     Limits::kPositions, model.max_position_embeddings));
  OLLM_TRY_VOID(read_heads(config, defaults, model));
  OLLM_TRY(model.hidden_act, read_activation(config, defaults.activation_key, defaults.hidden_act));
  OLLM_TRY(model.norm_eps,
           config.value_or<double>(defaults.norm_key, defaults.norm_eps, NumberRange{0, 1, false}));
  if (!defaults.rotary_by_type) {
    OLLM_TRY(model.rotary,
             read_rotary(config, defaults.rotary, model.head_dim, model.max_position_embeddings));
  }
  OLLM_TRY(model.tie_word_embeddings,
           config.value_or<bool>("tie_word_embeddings", defaults.tie_word_embeddings));
  model.windows.assign(model.num_hidden_layers, 0);
  model.rotated.assign(model.num_hidden_layers, true);

  const IntegerRange token_id{-1, Limits::kDimension};
  OLLM_TRY(model.bos_token_id, config.optional<std::int64_t>("bos_token_id", token_id));
  OLLM_TRY(model.eos_token_ids, config.list<std::int64_t>("eos_token_id", token_id));
  return model;
}

Result<void> read_attention_bias(const ConfigObject& config, ModelConfig& model) {
  OLLM_TRY(model.qkv_bias, config.value_or<bool>("attention_bias", false));
  model.output_bias = model.qkv_bias;
  return {};
}

Result<void> read_one_window(const ConfigObject& config, std::size_t absent, ModelConfig& model) {
  OLLM_TRY(const auto window, config.optional<std::int64_t>(
                                  "sliding_window", IntegerRange::positive(Limits::kPositions)));
  const std::size_t other = config.has("sliding_window") ? 0 : absent;
  model.windows.assign(model.num_hidden_layers, window ? static_cast<std::size_t>(*window) : other);
  return {};
}

Error not_one_a_layer(const ConfigObject& config, std::string_view key, const ModelConfig& model,
                      std::size_t found) {
  return config.error(
      ErrorKind::corrupt, key,
      fmt::format("expected {} entries, one a layer, found {}", model.num_hidden_layers, found));
}

Result<bool> read_layer_types(const ConfigObject& config, std::size_t width, ModelConfig& model) {
  OLLM_TRY(const auto types, config.list<std::string>("layer_types"));
  if (types.empty()) return false;
  if (types.size() != model.num_hidden_layers)
    return not_one_a_layer(config, "layer_types", model, types.size());
  for (std::size_t i = 0; i < types.size(); ++i) {
    model.windows[i] = 0;
    if (types[i] == "full_attention" || types[i] == "attention") continue;  // the older name
    if (types[i] != "sliding_attention") {
      return config.error(ErrorKind::unsupported, "layer_types",
                          fmt::format("layer {} is of type '{}', which is not built", i, types[i]));
    }
    if (width == 0) {
      return config.error(ErrorKind::corrupt, "layer_types",
                          fmt::format("layer {} slides, but there is no sliding_window", i));
    }
    model.windows[i] = width;
  }
  return true;
}

Result<void> read_window_pattern(const ConfigObject& config, std::size_t absent, std::size_t period,
                                 ModelConfig& model) {
  OLLM_TRY(const auto window, config.optional<std::int64_t>(
                                  "sliding_window", IntegerRange::positive(Limits::kPositions)));
  const std::size_t width =
      window ? static_cast<std::size_t>(*window) : (config.has("sliding_window") ? 0 : absent);
  OLLM_TRY(const bool listed, read_layer_types(config, width, model));
  if (listed) return {};
  for (std::size_t i = 0; i < model.windows.size(); ++i)
    model.windows[i] = (i + 1) % period != 0 ? width : 0;
  return {};
}

Result<double> read_soft_cap(const ConfigObject& config, std::string_view key, double absent) {
  OLLM_TRY(const auto cap, config.optional<double>(key, kMultipliers));
  return cap.value_or(config.has(key) ? 0 : absent);
}

AttentionSpec::QueryGrowth query_growth(const QueryGrowthConfig& config, std::size_t positions) {
  AttentionSpec::QueryGrowth out;
  out.step = config.original_max_position_embeddings;
  const auto beta = static_cast<float>(config.llama_4_scaling_beta);
  for (std::size_t i = 0; i <= positions / out.step; ++i) {
    const auto log = static_cast<float>(std::log(static_cast<double>(i + 1)));
    out.factors.push_back(1 + beta * log);
  }
  return out;
}

Result<void> read_qwen_windows(const ConfigObject& config, ModelConfig& model) {
  OLLM_TRY(const bool on, config.value_or<bool>("use_sliding_window", false));
  if (!on) config.ignore("sliding_window");  // as if it was not there
  const auto positive = IntegerRange::positive(Limits::kPositions);
  OLLM_TRY(const auto window,
           on ? config.optional<std::int64_t>("sliding_window", positive)
              : Result<std::optional<std::int64_t>>(std::optional<std::int64_t>()));
  OLLM_TRY(const auto first,
           config.value_or<std::int64_t>("max_window_layers", 28,
                                         IntegerRange{-Limits::kLayers, Limits::kPositions}));
  const std::int64_t absent = config.has("sliding_window") ? 0 : 4096;
  const std::size_t width = on ? static_cast<std::size_t>(window.value_or(absent)) : 0;
  OLLM_TRY(const bool listed, read_layer_types(config, width, model));
  if (listed) return {};
  for (std::size_t i = 0; i < model.windows.size(); ++i)
    model.windows[i] = static_cast<std::int64_t>(i) >= first ? width : 0;
  return {};
}

Result<double> read_multiplier(const ConfigObject& config, std::string_view key, double absent) {
  return config.value_or<double>(key, absent, kMultipliers);
}

}  // namespace ollm::models
