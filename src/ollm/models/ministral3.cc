// Ministral 3 and what Mistral publishes since: yarn, and queries that grow with the position.
// Source: Transformers, ministral3.
#include <fmt/format.h>

#include <cstddef>
#include <utility>

#include "ollm/models/blueprint.h"
#include "ollm/models/families.h"

namespace ollm::models {
namespace {

using checkpoint::ConfigObject;

using checkpoint::NumberRange;

constexpr ConfigDefaults kDefaults{
    .vocab_size = 131072,
    .hidden_size = 4096,
    .intermediate_size = 14336,
    .num_hidden_layers = 34,
    .num_attention_heads = 32,
    .num_key_value_heads = 8,
    .head_dim = 128,
    .max_position_embeddings = 262144,
    .norm_eps = 1e-5,
};

// Factors of queries: Mistral's models have 16.
constexpr std::size_t kMostSteps = 4096;

// Where no key says one.
RotaryConfig published_rotary() {
  RotaryConfig rotary;
  rotary.type = RotaryType::yarn;
  rotary.theta = 1e6;
  rotary.factor = 16;
  rotary.original_max_position_embeddings = 16384;
  rotary.mscale = rotary.mscale_all_dim = 1;
  return rotary;
}

Result<FamilyModel> compose(const ConfigObject& config) {
  OLLM_TRY(ModelConfig model, read_decoder(config, "ministral3", kDefaults));
  OLLM_TRY_VOID(read_one_window(config, 0, model));
  OLLM_TRY(const auto parameters, config.optional_object("rope_parameters"));
  if (!parameters && !config.has("rope_scaling")) {
    model.rotary = published_rotary();
    model.query_growth = {0.1, model.rotary.original_max_position_embeddings};
    return models::compose(std::move(model), {});
  }
  if (!parameters || model.rotary.original_max_position_embeddings == 0) {
    return config.error(ErrorKind::unsupported, "rope_parameters",
                        "expected an object with the original length, in which queries grow");
  }
  // Transformers writes it there, and reads it nowhere.
  parameters->ignore("max_position_embeddings");
  OLLM_TRY(const double beta,
           parameters->required<double>("llama_4_scaling_beta", NumberRange{0, 1e6, false}));
  const std::size_t original = model.rotary.original_max_position_embeddings;
  if (usable_positions(model) / original > kMostSteps) {
    return config.error(ErrorKind::corrupt, "rope_parameters",
                        fmt::format("expected an original length of at least a {}th of the {} "
                                    "positions, found {}",
                                    kMostSteps, usable_positions(model), original));
  }
  model.query_growth = {beta, original};
  return models::compose(std::move(model), {});
}

}  // namespace

const Family kMinistral3{.name = "ministral3",
                         .model_type = "ministral3",
                         .architecture = "Ministral3ForCausalLM",
                         .compose = compose};

}  // namespace ollm::models
