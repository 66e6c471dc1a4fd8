#include "ollm/models/generic.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "ollm/models/blueprint.h"
#include "ollm/models/config_keys.h"

namespace ollm::models {
namespace {

using checkpoint::ConfigObject;
using checkpoint::NumberRange;
using checkpoint::TensorInfo;

Error refuse(std::string message) { return fail(ErrorKind::unsupported, std::move(message)); }

// What the tensors of a model's first layer say.
class Evidence {
 public:
  explicit Evidence(const TensorNames& names) : names_(names) {}

  bool in_layer(std::string_view name) const {
    return names_.find(fmt::format("model.layers.0.{}", name)) != nullptr;
  }

  std::uint64_t layer_vector_size(std::string_view name) const {
    const TensorInfo* tensor = names_.find(fmt::format("model.layers.0.{}", name));
    return tensor == nullptr || tensor->shape.rank() != 1 ? 0 : tensor->shape[0];
  }

  bool has_experts() const {
    const auto tensors = names_.index().tensors();
    return std::any_of(tensors.begin(), tensors.end(), [](const TensorInfo& tensor) {
      return tensor.name.find(".experts.") != std::string::npos;
    });
  }

  bool has_head() const { return names_.find("lm_head.weight") != nullptr; }
  bool has_embedding() const { return names_.find("model.embed_tokens.weight") != nullptr; }

 private:
  const TensorNames& names_;
};

// What a config says of biases, where it says it; a family's own reading says all of it.
struct SaidBiases {
  std::optional<bool> attention, mlp, all;
};

Result<void> read_biases(const SaidBiases& said, const Evidence& evidence,
                         const Blueprint& blueprint, ModelConfig& model) {
  model.qkv_bias =
      evidence.in_layer(blueprint.fused_qkv ? "self_attn.qkv_proj.bias" : "self_attn.q_proj.bias");
  model.output_bias = evidence.in_layer("self_attn.o_proj.bias");
  const char* inner = !blueprint.gated          ? "mlp.c_fc.bias"
                      : blueprint.fused_gate_up ? "mlp.gate_up_proj.bias"
                                                : "mlp.up_proj.bias";
  model.mlp_bias = evidence.in_layer(inner);
  // Transformers would leave a stored bias unread, or make up one that is missing.
  const auto agree = [](std::string_view key, std::optional<bool> says,
                        bool found) -> Result<void> {
    if (!says || *says == found) return {};
    return refuse(
        fmt::format("config.json: {} is {}, but the biases are {}: which one counts is "
                    "not known",
                    key, *says, found ? "there" : "not there"));
  };
  OLLM_TRY_VOID(agree("attention_bias", said.attention, model.qkv_bias));
  OLLM_TRY_VOID(agree("mlp_bias", said.mlp, model.mlp_bias));
  return agree("use_bias", said.all, model.qkv_bias && model.output_bias && model.mlp_bias);
}

Result<void> read_norms(const ModelConfig& model, const Evidence& evidence, Blueprint& out) {
  const bool before = evidence.in_layer("input_layernorm.weight");
  const bool after = evidence.in_layer("post_feedforward_layernorm.weight");
  if (before == after) {
    return refuse(before ? "norms before and behind each block: not built"
                         : "no input_layernorm and no post_feedforward_layernorm: where the norms "
                           "of a layer stand is not known");
  }
  out.norms = before ? kNormsBefore : kNormsAfter;
  out.norm_bias =
      evidence.in_layer(before ? "input_layernorm.bias" : "post_attention_layernorm.bias");
  if (out.norm_bias && model.norm_kind == NormKind::rms)
    return refuse(
        "norms have biases, but config.json has rms_norm_eps: which norm it is is not known");

  const std::uint64_t q_norm = evidence.layer_vector_size("self_attn.q_norm.weight");
  const std::size_t row = model.head_dim * model.num_attention_heads;
  if (q_norm == 0) return {};
  if (q_norm == model.head_dim) {
    out.qk_norm = QkNorm::per_head;
  } else if (q_norm == row) {
    out.qk_norm = QkNorm::whole_row;
  } else {
    return refuse(
        fmt::format("self_attn.q_norm has {} elements: neither a head's {} nor a row's {}", q_norm,
                    model.head_dim, row));
  }
  return {};
}

Result<Blueprint> read_blueprint(const SaidBiases& said, const Evidence& evidence,
                                 ModelConfig& model) {
  if (!evidence.has_embedding())
    return refuse("no tensor model.embed_tokens.weight: the naming of its tensors is not known");
  if (model.mixture || evidence.has_experts())
    return refuse("a mixture of experts: how its router chooses is said by no tensor");
  Blueprint out;
  out.fused_qkv = evidence.in_layer("self_attn.qkv_proj.weight");
  out.fused_gate_up = evidence.in_layer("mlp.gate_up_proj.weight");
  out.gated = out.fused_gate_up || evidence.in_layer("mlp.gate_proj.weight");
  OLLM_TRY_VOID(read_norms(model, evidence, out));
  OLLM_TRY_VOID(read_biases(said, evidence, out, model));
  return out;
}

// rms_norm_eps, norm_epsilon or layer_norm_eps: which one it is says which norm.
Result<std::string_view> norm_key(const ConfigObject& config) {
  std::string_view found;
  for (const std::string_view key : {"rms_norm_eps", "norm_epsilon", "layer_norm_eps"}) {
    OLLM_TRY(const auto eps, config.optional<double>(key, NumberRange{0, 1, false}));
    if (!eps) continue;
    if (!found.empty()) {
      return config.error(ErrorKind::unsupported, key,
                          fmt::format("stands beside {}: which one counts is not known", found));
    }
    found = key;
  }
  return found.empty() ? "rms_norm_eps" : found;
}

Result<void> read_multipliers(const ConfigObject& config, ModelConfig& model) {
  OLLM_TRY(model.embedding_multiplier, read_multiplier(config, "embedding_multiplier", 1));
  OLLM_TRY(model.residual_multiplier, read_multiplier(config, "residual_multiplier", 1));
  OLLM_TRY(model.logits_scaling, read_multiplier(config, "logits_scaling", 1));
  if (!config.has("attention_multiplier")) return {};
  OLLM_TRY(model.attention_multiplier, read_multiplier(config, "attention_multiplier", 1));
  return {};
}

// layer_types say it; a window alone does not, as types differ in which layers it is for.
Result<void> read_windows(const ConfigObject& config, ModelConfig& model) {
  using checkpoint::IntegerRange;
  OLLM_TRY(const auto window,
           config.value_or<std::int64_t>("sliding_window", 0,
                                         IntegerRange{0, ModelConfigLimits::kPositions}));
  OLLM_TRY(const auto on, config.optional<bool>("use_sliding_window"));
  const std::size_t width = on.value_or(true) ? static_cast<std::size_t>(window) : 0;
  OLLM_TRY(const bool listed, read_layer_types(config, width, model));
  if (listed || width == 0) return {};
  return config.error(ErrorKind::unsupported, "sliding_window",
                      "which layers slide is not known for this model type");
}

Result<ModelConfig> read_config(const ConfigObject& config, const Evidence& evidence,
                                SaidBiases& said) {
  OLLM_TRY(const std::string type, config.value_or<std::string>("model_type", ""));
  if (type.empty()) return refuse("config.json: no model_type: what it computes is not known");
  OLLM_TRY(const auto activation, config.optional<std::string>("hidden_act"));
  if (!activation)
    return refuse("config.json: no hidden_act: which activation it has is not known");
  OLLM_TRY(const std::string_view eps, norm_key(config));
  ConfigDefaults defaults;
  defaults.norm_key = eps;
  defaults.tie_word_embeddings = !evidence.has_head();
  defaults.rotary.partial = true;
  OLLM_TRY(ModelConfig model, read_decoder(config, "", defaults));
  model.norm_kind = eps == "rms_norm_eps" ? NormKind::rms : NormKind::layer;
  OLLM_TRY_VOID(read_windows(config, model));
  OLLM_TRY_VOID(read_multipliers(config, model));
  OLLM_TRY(said.attention, config.optional<bool>("attention_bias"));
  OLLM_TRY(said.mlp, config.optional<bool>("mlp_bias"));
  OLLM_TRY(said.all, config.optional<bool>("use_bias"));
  // Nobody vouches for what other types' keys would do to this one.
  UnreadKeys unread = sort_unread(config);
  model.unknown_keys = std::move(unread.of_other_types);
  for (std::string& key : unread.unknown) model.unknown_keys.push_back(std::move(key));
  return model;
}

}  // namespace

Result<FamilyModel> compose_generic(const ConfigObject& config, const TensorNames& names) {
  const Evidence evidence(names);
  SaidBiases said;
  OLLM_TRY(ModelConfig model, read_config(config, evidence, said));
  OLLM_TRY(const Blueprint blueprint, read_blueprint(said, evidence, model));
  return compose(std::move(model), blueprint);
}

Result<FamilyModel> compose_by_tensors(const ModelConfig& config, const TensorNames& names) {
  ModelConfig model = config;
  const SaidBiases said{.attention = config.qkv_bias, .mlp = config.mlp_bias, .all = {}};
  OLLM_TRY(const Blueprint blueprint, read_blueprint(said, Evidence(names), model));
  model.family.clear();
  return compose(std::move(model), blueprint);
}

}  // namespace ollm::models
