#include "ollm/models/model_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>

#include "ollm/checkpoint/config_object.h"

namespace ollm::models {
namespace {

using checkpoint::ConfigObject;
using checkpoint::IntegerRange;
using checkpoint::NumberRange;

constexpr std::int64_t kMaxDimension = ModelConfigLimits::kDimension;
constexpr std::int64_t kMaxLayers = ModelConfigLimits::kLayers;
constexpr std::int64_t kMaxHeads = ModelConfigLimits::kHeads;
constexpr std::int64_t kMaxPositions = ModelConfigLimits::kPositions;

// What numbers of config.json become in f32 is neither zero nor infinite within these, and no
// rotary pair turns by more than one radian a token.
constexpr NumberRange kThetas{1, 1e30, false};
constexpr NumberRange kFactors{1e-6, 1e6, false};
constexpr NumberRange kMultipliers{1e-9, 1e9, false};

// Keys that change nothing of what is computed here: training, bookkeeping, caches, or what the
// tensors themselves say (dtype).
constexpr std::string_view kWithoutEffect[] = {
    "_attn_implementation", "_attn_implementation_autoset",
    "_name_or_path",        "attention_dropout",
    "attn_pdrop",           "dtype",
    "embd_pdrop",           "embedding_dropout",
    "initializer_range",    "is_decoder",
    "pad_token_id",         "pretraining_tp",
    "resid_pdrop",          "residual_dropout",
    "tokenizer_class",      "torch_dtype",
    "torchscript",          "transformers.js_config",
    "transformers_version", "unsloth_fixed",
    "unsloth_version",      "use_cache",
};

struct NamedActivation {
  std::string_view name;
  backend::Activation activation;
};
constexpr NamedActivation kActivations[] = {
    {"silu", backend::Activation::silu},
    {"swish", backend::Activation::silu},
    {"gelu", backend::Activation::gelu},
    {"gelu_new", backend::Activation::gelu_tanh},
    {"gelu_pytorch_tanh", backend::Activation::gelu_tanh},
    {"gelu_fast", backend::Activation::gelu_tanh},
    {"relu", backend::Activation::relu},
    {"relu2", backend::Activation::relu_squared},
};

// The names of a list of {name, ...}, as "a, b, c".
template <typename List>
std::string names_of(const List& list) {
  std::vector<std::string_view> names;
  for (const auto& item : list) names.push_back(item.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

Result<void> parse_activations(const ConfigObject& config, ModelConfig& model) {
  OLLM_TRY(const auto name, config.optional<std::string>("hidden_act"));
  if (!name) return {};
  for (const NamedActivation& known : kActivations)
    if (known.name == *name) model.hidden_act = known.activation;
  if (model.hidden_act) return {};
  return config.error(
      ErrorKind::unsupported, "hidden_act",
      fmt::format("activation '{}' is not built; there are {}", *name, names_of(kActivations)));
}

struct NamedRotary {
  std::string_view name;
  RotaryType type;
};
constexpr NamedRotary kRotaryTypes[] = {{"default", RotaryType::default_},
                                        {"linear", RotaryType::linear},
                                        {"llama3", RotaryType::llama3},
                                        {"yarn", RotaryType::yarn}};

Result<RotaryType> parse_rotary_type(const ConfigObject& scaling) {
  // Older files say `type`; where both stand, Transformers takes rope_type.
  OLLM_TRY(const auto older, scaling.optional<std::string>("type"));
  OLLM_TRY(const auto newer, scaling.optional<std::string>("rope_type"));
  const std::string name = newer ? *newer : older.value_or("default");
  for (const NamedRotary& known : kRotaryTypes)
    if (known.name == name) return known.type;
  return scaling.error(
      ErrorKind::unsupported, newer ? "rope_type" : "type",
      fmt::format("rotary type '{}' is not built; there are {}", name, names_of(kRotaryTypes)));
}

// Fields of rope_scaling or rope_parameters, which have the same names.
Result<void> parse_scaling(const ConfigObject& scaling, std::size_t max_positions,
                           RotaryConfig& rotary) {
  OLLM_TRY(rotary.type, parse_rotary_type(scaling));
  OLLM_TRY(rotary.theta, scaling.value_or<double>("rope_theta", rotary.theta, kThetas));
  OLLM_TRY(rotary.partial_rotary_factor,
           scaling.value_or<double>("partial_rotary_factor", rotary.partial_rotary_factor,
                                    NumberRange::above(0, 1)));
  OLLM_TRY(const auto original,
           scaling.optional<std::int64_t>("original_max_position_embeddings",
                                          IntegerRange::positive(kMaxPositions)));
  if (original) rotary.original_max_position_embeddings = static_cast<std::size_t>(*original);
  if (rotary.type == RotaryType::default_) {
    scaling.ignore("factor");  // Transformers reads none of these for this type
    return {};
  }
  OLLM_TRY(rotary.factor, scaling.required<double>("factor", NumberRange{1, 1e6, false}));
  if (rotary.type == RotaryType::llama3) {
    OLLM_TRY(rotary.low_freq_factor, scaling.required<double>("low_freq_factor", kFactors));
    OLLM_TRY(rotary.high_freq_factor, scaling.required<double>("high_freq_factor", kFactors));
    if (rotary.high_freq_factor <= rotary.low_freq_factor) {
      return scaling.error(ErrorKind::corrupt, "high_freq_factor",
                           fmt::format("expected above low_freq_factor {}, found {}",
                                       rotary.low_freq_factor, rotary.high_freq_factor));
    }
    if (!original)
      return scaling.error(ErrorKind::not_found, "original_max_position_embeddings",
                           "required for rotary type llama3");
  }
  if (rotary.type == RotaryType::yarn) {
    if (rotary.theta == 1) {
      return scaling.error(ErrorKind::corrupt, "rope_theta",
                           "expected above 1 for rotary type yarn, whose pairs it tells apart");
    }
    OLLM_TRY(rotary.attention_factor, scaling.optional<double>("attention_factor", kFactors));
    OLLM_TRY(rotary.mscale, scaling.optional<double>("mscale", NumberRange{0, 1e6, false}));
    OLLM_TRY(rotary.mscale_all_dim,
             scaling.optional<double>("mscale_all_dim", NumberRange{0, 1e6, false}));
    OLLM_TRY(rotary.beta_fast, scaling.value_or<double>("beta_fast", 32.0, kFactors));
    OLLM_TRY(rotary.beta_slow, scaling.value_or<double>("beta_slow", 1.0, kFactors));
    OLLM_TRY(rotary.truncate, scaling.value_or<bool>("truncate", true));
    if (!original) rotary.original_max_position_embeddings = max_positions;
  }
  return {};
}

Result<void> parse_rotary(const ConfigObject& config, ModelConfig& model) {
  RotaryConfig& rotary = model.rotary;
  OLLM_TRY(rotary.theta, config.value_or<double>("rope_theta", 10000.0, kThetas));
  OLLM_TRY(rotary.partial_rotary_factor,
           config.value_or<double>("partial_rotary_factor", 1.0, NumberRange::above(0, 1)));
  OLLM_TRY(const auto scaling, config.optional_object("rope_scaling"));
  OLLM_TRY(const auto parameters, config.optional_object("rope_parameters"));
  // Transformers 5 reads rope_scaling only where rope_parameters is absent.
  if (parameters) {
    if (scaling) config.ignore("rope_scaling");
    OLLM_TRY_VOID(parse_scaling(*parameters, model.max_position_embeddings, rotary));
  } else if (scaling) {
    OLLM_TRY_VOID(parse_scaling(*scaling, model.max_position_embeddings, rotary));
  }
  const double pairs = static_cast<double>(model.head_dim) * rotary.partial_rotary_factor;
  if (static_cast<std::size_t>(pairs) % 2 != 0 || static_cast<std::size_t>(pairs) == 0) {
    return config.error(
        ErrorKind::corrupt, "head_dim",
        fmt::format("rotary turns pairs of elements: expected an even number, "
                    "found {} ({} of {})",
                    static_cast<std::size_t>(pairs), rotary.partial_rotary_factor, model.head_dim));
  }
  return {};
}

Result<void> parse_dimensions(const ConfigObject& config, ModelConfig& model) {
  const auto size = [&](std::string_view key, std::int64_t limit,
                        std::size_t& out) -> Result<void> {
    OLLM_TRY(const std::int64_t value,
             config.required<std::int64_t>(key, IntegerRange::positive(limit)));
    out = static_cast<std::size_t>(value);
    return {};
  };
  OLLM_TRY_VOID(size("hidden_size", kMaxDimension, model.hidden_size));
  OLLM_TRY_VOID(size("intermediate_size", kMaxDimension, model.intermediate_size));
  OLLM_TRY_VOID(size("num_hidden_layers", kMaxLayers, model.num_hidden_layers));
  OLLM_TRY_VOID(size("num_attention_heads", kMaxHeads, model.num_attention_heads));
  OLLM_TRY_VOID(size("vocab_size", kMaxDimension, model.vocab_size));
  OLLM_TRY(const auto positions,
           config.value_or<std::int64_t>("max_position_embeddings", 2048,
                                         IntegerRange::positive(kMaxPositions)));
  model.max_position_embeddings = static_cast<std::size_t>(positions);
  OLLM_TRY(const auto kv_heads,
           config.value_or<std::int64_t>("num_key_value_heads",
                                         static_cast<std::int64_t>(model.num_attention_heads),
                                         IntegerRange::positive(kMaxHeads)));
  model.num_key_value_heads = static_cast<std::size_t>(kv_heads);
  if (model.num_attention_heads % model.num_key_value_heads != 0) {
    return config.error(ErrorKind::corrupt, "num_key_value_heads",
                        fmt::format("expected a divisor of num_attention_heads {}, found {}",
                                    model.num_attention_heads, model.num_key_value_heads));
  }
  OLLM_TRY(const auto head_dim,
           config.optional<std::int64_t>("head_dim", IntegerRange::positive(65'536)));
  if (head_dim) {
    model.head_dim = static_cast<std::size_t>(*head_dim);
  } else if (model.hidden_size % model.num_attention_heads == 0) {
    model.head_dim = model.hidden_size / model.num_attention_heads;
  } else {
    return config.error(ErrorKind::corrupt, "num_attention_heads",
                        fmt::format("expected a divisor of hidden_size {}, found {}",
                                    model.hidden_size, model.num_attention_heads));
  }
  return {};
}

Result<void> parse_norm_eps(const ConfigObject& config, ModelConfig& model) {
  std::string_view found;
  for (const std::string_view key : {"rms_norm_eps", "norm_epsilon", "layer_norm_eps"}) {
    OLLM_TRY(const auto eps, config.optional<double>(key, NumberRange{0, 1, false}));
    if (!eps) continue;
    if (!found.empty()) {
      return config.error(ErrorKind::unsupported, key,
                          fmt::format("stands beside {}: which one counts is not known", found));
    }
    found = key;
    model.norm_eps = static_cast<float>(*eps);
    model.layer_norm = key != "rms_norm_eps";
  }
  if (found.empty()) model.norm_eps = 1e-6F;  // LlamaConfig's default
  return {};
}

Error wrong_length(const ConfigObject& config, std::string_view key, std::size_t expected,
                   std::size_t found) {
  return config.error(ErrorKind::corrupt, key,
                      fmt::format("expected {} entries, one a layer, found {}", expected, found));
}

// no_rope_layers, or the interval that makes it: which layers rotate.
Result<void> parse_rotated_layers(const ConfigObject& config, ModelConfig& model) {
  OLLM_TRY(const auto layers, config.list<std::int64_t>("no_rope_layers", IntegerRange{0, 1}));
  OLLM_TRY(const auto given, config.optional<std::int64_t>("no_rope_layer_interval",
                                                           IntegerRange::positive(kMaxLayers)));
  // SmolLM3Config's default; no other type has layers without rotary unless it says so.
  const bool by_default = model.model_type == "smollm3";
  model.rotated.assign(model.num_hidden_layers, true);
  if (!layers.empty()) {
    if (layers.size() != model.num_hidden_layers)
      return wrong_length(config, "no_rope_layers", model.num_hidden_layers, layers.size());
    for (std::size_t i = 0; i < layers.size(); ++i) model.rotated[i] = layers[i] != 0;
  } else if (given || by_default) {
    const auto interval = static_cast<std::size_t>(given.value_or(4));
    for (std::size_t i = 0; i < model.rotated.size(); ++i)
      model.rotated[i] = (i + 1) % interval != 0;
  }
  if (std::count(model.rotated.begin(), model.rotated.end(), false) != 0)
    model.special_keys.push_back("no_rope_layers");
  return {};
}

// Which layers slide where no layer_types says it; `width` is not 0.
Result<void> default_windows(const ConfigObject& config, std::size_t width, ModelConfig& model) {
  OLLM_TRY(const auto first, config.optional<std::int64_t>("max_window_layers",
                                                           IntegerRange::non_negative(kMaxLayers)));
  if (model.model_type == "smollm3") {  // SmolLM3Config: only layers without rotary slide
    for (std::size_t i = 0; i < model.windows.size(); ++i)
      model.windows[i] = model.rotated[i] ? 0 : width;
    return {};
  }
  if (model.model_type == "qwen2" || model.model_type == "qwen3") {
    for (std::size_t i = 0; i < model.windows.size(); ++i)
      model.windows[i] = i >= static_cast<std::size_t>(first.value_or(28)) ? width : 0;
    return {};
  }
  if (first) {
    return config.error(ErrorKind::unsupported, "max_window_layers",
                        "which layers it lets slide is not known for this model type");
  }
  model.windows.assign(model.num_hidden_layers, width);
  return {};
}

// sliding_window, use_sliding_window, layer_types: the window of each layer.
Result<void> parse_windows(const ConfigObject& config, ModelConfig& model) {
  OLLM_TRY(const auto window,
           config.optional<std::int64_t>("sliding_window", IntegerRange::positive(kMaxPositions)));
  // Qwen2Config, Qwen3Config and SmolLM3Config slide only where the switch is on.
  const bool has_switch =
      model.model_type == "qwen2" || model.model_type == "qwen3" || model.model_type == "smollm3";
  OLLM_TRY(const bool on, config.value_or<bool>("use_sliding_window", !has_switch));
  OLLM_TRY(const auto layer_types, config.list<std::string>("layer_types"));
  const std::size_t width = window && on ? static_cast<std::size_t>(*window) : 0;
  model.windows.assign(model.num_hidden_layers, 0);
  if (layer_types.empty() && width != 0) {
    OLLM_TRY_VOID(default_windows(config, width, model));
  } else {
    config.ignore("max_window_layers");  // how layer_types was made
  }
  if (!layer_types.empty() && layer_types.size() != model.num_hidden_layers)
    return wrong_length(config, "layer_types", model.num_hidden_layers, layer_types.size());
  for (std::size_t i = 0; i < layer_types.size(); ++i) {
    if (layer_types[i] == "full_attention") continue;
    if (layer_types[i] != "sliding_attention") {
      return config.error(
          ErrorKind::unsupported, "layer_types",
          fmt::format("layer {} is of type '{}', which is not built", i, layer_types[i]));
    }
    if (width == 0) {
      return config.error(ErrorKind::corrupt, "layer_types",
                          fmt::format("layer {} slides, but there is no sliding_window", i));
    }
    model.windows[i] = width;
  }
  if (std::any_of(model.windows.begin(), model.windows.end(), [](std::size_t w) { return w != 0; }))
    model.special_keys.push_back("sliding_window");
  return {};
}

Result<void> parse_multipliers(const ConfigObject& config, ModelConfig& model) {
  const auto read = [&](std::string_view key, std::optional<double>& out) -> Result<void> {
    OLLM_TRY(out, config.optional<double>(key, kMultipliers));
    if (out) model.special_keys.emplace_back(key);
    return {};
  };
  OLLM_TRY_VOID(read("embedding_multiplier", model.embedding_multiplier));
  OLLM_TRY_VOID(read("attention_multiplier", model.attention_multiplier));
  OLLM_TRY_VOID(read("residual_multiplier", model.residual_multiplier));
  OLLM_TRY_VOID(read("logits_scaling", model.logits_scaling));
  // GraniteConfig's default is not 1 / sqrt(head_dim).
  if (model.model_type == "granite" && !model.attention_multiplier) model.attention_multiplier = 1;
  return {};
}

Result<void> refuse_what_is_no_model(const ConfigObject& config) {
  if (config.has("auto_map")) {
    return config.error(ErrorKind::unsupported, "auto_map",
                        "this model runs code of its own folder, which is refused; only models "
                        "whose arithmetic is built in can run");
  }
  if (config.has("quantization_config") && !config.raw("quantization_config")->is_null()) {
    return config.error(ErrorKind::unsupported, "quantization_config",
                        "quantized weights are not built; use the model's F32, F16 or BF16 form");
  }
  return {};
}

}  // namespace

Result<ModelConfig> parse_model_config(const Json& document) {
  OLLM_TRY(const ConfigObject config, ConfigObject::make(document, "config.json"));
  OLLM_TRY_VOID(refuse_what_is_no_model(config));
  ModelConfig model;
  OLLM_TRY(model.model_type, config.value_or<std::string>("model_type", ""));
  OLLM_TRY(const auto architectures, config.list<std::string>("architectures"));
  if (!architectures.empty()) model.architecture = architectures.front();

  OLLM_TRY_VOID(parse_dimensions(config, model));
  OLLM_TRY_VOID(parse_norm_eps(config, model));
  OLLM_TRY_VOID(parse_activations(config, model));
  OLLM_TRY(model.tie_word_embeddings, config.optional<bool>("tie_word_embeddings"));
  OLLM_TRY(model.attention_bias, config.optional<bool>("attention_bias"));
  OLLM_TRY(model.mlp_bias, config.optional<bool>("mlp_bias"));
  OLLM_TRY(model.use_bias, config.optional<bool>("use_bias"));
  OLLM_TRY_VOID(parse_rotary(config, model));
  OLLM_TRY_VOID(parse_rotated_layers(config, model));
  OLLM_TRY_VOID(parse_windows(config, model));
  OLLM_TRY_VOID(parse_multipliers(config, model));
  // Phi-3 writes it beside max_position_embeddings; it counts only for rotary types that scale.
  OLLM_TRY(const auto original,
           config.optional<std::int64_t>("original_max_position_embeddings",
                                         IntegerRange::positive(kMaxPositions)));
  if (original && model.rotary.original_max_position_embeddings == 0)
    model.rotary.original_max_position_embeddings = static_cast<std::size_t>(*original);

  const IntegerRange token_id{-1, kMaxDimension};
  OLLM_TRY(model.bos_token_id, config.optional<std::int64_t>("bos_token_id", token_id));
  OLLM_TRY(model.eos_token_ids, config.list<std::int64_t>("eos_token_id", token_id));
  config.ignore(kWithoutEffect);
  model.unknown_keys = config.unused_keys();
  return model;
}

Result<void> check_unknown_keys(const ModelConfig& config,
                                const std::vector<std::string>& allowed) {
  std::vector<std::string> refused;
  for (const std::string& key : config.unknown_keys)
    if (std::find(allowed.begin(), allowed.end(), key) == allowed.end()) refused.push_back(key);
  if (refused.empty()) return {};
  return fail(ErrorKind::unsupported,
              fmt::format("config.json: {}: not understood, and it may change what is computed; "
                          "--allow-config-key NAME runs without it",
                          fmt::join(refused, ", ")));
}

}  // namespace ollm::models
