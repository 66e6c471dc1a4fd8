#include "ollm/models/generic.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "ollm/models/inventory.h"

namespace ollm::models {
namespace {

using checkpoint::TensorIndex;
using checkpoint::TensorInfo;

// Types whose forward pass was read in Transformers' source and is what blueprints compute.
struct KnownType {
  std::string_view model_type;
  backend::Activation default_activation;  // where config.json leaves hidden_act out
  bool default_tied;                       // where it leaves tie_word_embeddings out
};
constexpr KnownType kKnownTypes[] = {
    {"llama", backend::Activation::silu, false},
    {"mistral", backend::Activation::silu, false},
    {"qwen2", backend::Activation::silu, false},
    {"qwen3", backend::Activation::silu, false},
    {"phi3", backend::Activation::silu, false},
    {"smollm3", backend::Activation::silu, true},
    {"olmo2", backend::Activation::silu, false},
    {"granite", backend::Activation::silu, false},
    {"starcoder2", backend::Activation::gelu_tanh, true},
};

// Types whose tensors may look like these while they compute something else; each is built as a
// family or not at all.
struct DifferentType {
  std::string_view model_type;
  std::string_view how;
};
constexpr DifferentType kDifferentTypes[] = {
    {"gemma", "its norms scale by 1 + weight and its embeddings by sqrt(hidden_size)"},
    {"gemma2", "its norms scale by 1 + weight and its scores are capped"},
    {"gemma3", "its norms scale by 1 + weight and its layers alternate"},
    {"gemma3_text", "its norms scale by 1 + weight and its layers alternate"},
    {"vaultgemma", "its norms scale by 1 + weight and its scores are capped"},
    {"nemotron", "its norms scale by 1 + weight"},
    {"ernie4_5", "its rotary turns interleaved pairs"},
    {"glm", "its rotary turns interleaved pairs"},
    {"glm4", "its rotary turns interleaved pairs"},
    {"helium", "its rotary turns interleaved pairs"},
    {"cohere", "its rotary turns interleaved pairs and its blocks run side by side"},
    {"cohere2", "its rotary turns interleaved pairs and its blocks run side by side"},
    {"exaone4", "only its sliding layers rotate"},
    {"olmo3", "its sliding and full layers rotate differently"},
};

// What the tensors of a model's first layer say.
class Evidence {
 public:
  explicit Evidence(const TensorIndex& index) : index_(index) {}

  bool in_layer(std::string_view name) const {
    return index_.find(fmt::format("model.layers.0.{}", name)) != nullptr;
  }

  std::uint64_t layer_vector_size(std::string_view name) const {
    const TensorInfo* tensor = index_.find(fmt::format("model.layers.0.{}", name));
    return tensor == nullptr || tensor->shape.rank() != 1 ? 0 : tensor->shape[0];
  }

  bool has_head() const { return index_.find("lm_head.weight") != nullptr; }
  bool has_embedding() const { return index_.find("model.embed_tokens.weight") != nullptr; }

 private:
  const TensorIndex& index_;
};

Error refuse(std::string message) { return fail(ErrorKind::unsupported, std::move(message)); }

const KnownType* known_type(std::string_view model_type) {
  for (const KnownType& known : kKnownTypes)
    if (known.model_type == model_type) return &known;
  return nullptr;
}

Result<void> read_biases(const ModelConfig& config, const Evidence& evidence, Blueprint& out) {
  out.qkv_bias =
      evidence.in_layer(out.fused_qkv ? "self_attn.qkv_proj.bias" : "self_attn.q_proj.bias");
  out.o_bias = evidence.in_layer("self_attn.o_proj.bias");
  const char* inner = !out.gated          ? "mlp.c_fc.bias"
                      : out.fused_gate_up ? "mlp.gate_up_proj.bias"
                                          : "mlp.up_proj.bias";
  out.mlp_bias = evidence.in_layer(inner);
  // Transformers would leave a stored bias unread, or make up one that is missing.
  const auto agree = [](std::string_view key, std::optional<bool> said,
                        bool found) -> Result<void> {
    if (!said || *said == found) return {};
    return refuse(
        fmt::format("config.json: {} is {}, but the biases are {}: which one counts is "
                    "not known",
                    key, *said, found ? "there" : "not there"));
  };
  OLLM_TRY_VOID(agree("attention_bias", config.attention_bias, out.qkv_bias));
  OLLM_TRY_VOID(agree("mlp_bias", config.mlp_bias, out.mlp_bias));
  OLLM_TRY_VOID(agree("use_bias", config.use_bias, out.qkv_bias && out.o_bias && out.mlp_bias));
  return {};
}

Result<void> read_norms(const ModelConfig& config, const Evidence& evidence, Blueprint& out) {
  const bool before = evidence.in_layer("input_layernorm.weight");
  const bool after = evidence.in_layer("post_feedforward_layernorm.weight");
  if (before == after) {
    return refuse(before ? "norms before and behind each block: not built"
                         : "no input_layernorm and no post_feedforward_layernorm: where the norms "
                           "of a layer stand is not known");
  }
  out.placement = before ? NormPlacement::before : NormPlacement::after;
  out.norm_bias =
      evidence.in_layer(before ? "input_layernorm.bias" : "post_attention_layernorm.bias");
  out.norm_kind = config.layer_norm ? NormKind::layer : NormKind::rms;
  if (out.norm_bias && out.norm_kind == NormKind::rms)
    return refuse(
        "norms have biases, but config.json has rms_norm_eps: which norm it is is not known");

  const std::uint64_t q_norm = evidence.layer_vector_size("self_attn.q_norm.weight");
  if (q_norm == 0) return {};
  if (q_norm == config.head_dim) {
    out.qk_norm = QkNorm::per_head;
  } else if (q_norm == config.head_dim * config.num_attention_heads) {
    out.qk_norm = QkNorm::whole_row;
  } else {
    return refuse(
        fmt::format("self_attn.q_norm has {} elements: neither a head's {} nor a row's {}", q_norm,
                    config.head_dim, config.head_dim * config.num_attention_heads));
  }
  return {};
}

bool tied_head(const ModelConfig& config, const KnownType* known, const Evidence& evidence) {
  if (config.tie_word_embeddings) return *config.tie_word_embeddings;
  if (known != nullptr) return known->default_tied;
  return !evidence.has_head();
}

Result<Blueprint> read_blueprint(const ModelConfig& config, const TensorIndex& index) {
  const Evidence evidence(index);
  if (!evidence.has_embedding())
    return refuse("no tensor model.embed_tokens.weight: the naming of its tensors is not known");
  const KnownType* known = known_type(config.model_type);
  Blueprint out;
  out.fused_qkv = evidence.in_layer("self_attn.qkv_proj.weight");
  out.fused_gate_up = evidence.in_layer("mlp.gate_up_proj.weight");
  out.gated = out.fused_gate_up || evidence.in_layer("mlp.gate_proj.weight");
  if (config.hidden_act) {
    out.activation = *config.hidden_act;
  } else if (known != nullptr) {
    out.activation = known->default_activation;
  } else {
    return refuse("config.json: no hidden_act: which activation it has is not known");
  }
  OLLM_TRY_VOID(read_norms(config, evidence, out));
  OLLM_TRY_VOID(read_biases(config, evidence, out));
  out.tied_head = tied_head(config, known, evidence);
  return out;
}

}  // namespace

Result<GenericModel> compose_generic(const ModelConfig& config, const TensorIndex& index) {
  if (config.model_type.empty())
    return refuse("config.json: no model_type: what it computes is not known");
  for (const DifferentType& different : kDifferentTypes) {
    if (different.model_type == config.model_type) {
      return refuse(
          fmt::format("model type '{}' is not built: {}", config.model_type, different.how));
    }
  }
  GenericModel model;
  OLLM_TRY(model.blueprint, read_blueprint(config, index));
  model.composition = compose(config, model.blueprint);
  OLLM_TRY_VOID(check_inventory(index, model.composition));
  model.assumed = known_type(config.model_type) == nullptr;
  return model;
}

}  // namespace ollm::models
