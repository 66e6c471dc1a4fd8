// Llama 1 to 3: RMS norms before each block, grouped heads, rotary, SwiGLU; biases by config.
// Source: Touvron et al., 2023; Dubey et al., 2024; Transformers, modeling_llama.py.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ollm/models/families.h"

namespace ollm::models {
namespace {

constexpr std::string_view kArchitectures[] = {"LlamaForCausalLM"};

Result<Blueprint> blueprint(const ModelConfig& config) {
  if (!config.special_keys.empty()) {
    return fail(ErrorKind::unsupported,
                fmt::format("config.json: {}: not a part of the Llama architecture",
                            fmt::join(config.special_keys, ", ")));
  }
  Blueprint out;
  out.qkv_bias = out.o_bias = config.attention_bias.value_or(false);
  out.mlp_bias = config.mlp_bias.value_or(false);
  out.activation = config.hidden_act.value_or(backend::Activation::silu);  // LlamaConfig's default
  out.tied_head = config.tie_word_embeddings.value_or(false);              // LlamaConfig's default
  return out;
}

}  // namespace

const Family kLlama{.name = "llama",
                    .provider_id = "llama-native",
                    .architectures = kArchitectures,
                    .blueprint = blueprint};

}  // namespace ollm::models
