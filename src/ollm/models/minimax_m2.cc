// MiniMax M2: sigmoid scores with a correction, norms of whole rows of q and k, a part of each head
// turns. Source: MiniMax, 2025; Transformers, minimax_m2.
#include <cstddef>
#include <cstdint>
#include <utility>

#include "ollm/models/blueprint.h"
#include "ollm/models/families.h"
#include "ollm/models/mixture_config.h"

namespace ollm::models {
namespace {

using checkpoint::ConfigObject;

using checkpoint::IntegerRange;

constexpr std::int64_t kHeadDim = 128;
constexpr ConfigDefaults kDefaults{
    .vocab_size = 200064,
    .hidden_size = 3072,
    .intermediate_size = 1536,
    .num_hidden_layers = 62,
    .num_attention_heads = 48,
    .num_key_value_heads = 8,
    .head_dim = kHeadDim,
    .max_position_embeddings = 196608,
    .norm_eps = 1e-6,
    .rotary = {.theta = 5000000, .partial = true},
};
constexpr MixtureKeys kKeys{.experts = {"num_local_experts", "num_experts", 256},
                            .per_token = {"num_experts_per_tok", "", 8}};

// MiniMax M1's layers of linear attention are 0 there; M2 has none.
Result<void> read_attention_types(const ConfigObject& config) {
  OLLM_TRY(const auto types, config.list<std::int64_t>("attn_type_list"));
  for (const std::int64_t type : types)
    if (type != 1)
      return config.error(ErrorKind::unsupported, "attn_type_list",
                          "expected 1 of all layers: linear attention is not built");
  return {};
}

Result<FamilyModel> compose(const ConfigObject& config) {
  const auto sizes = IntegerRange::positive(ModelConfigLimits::kHeads);
  ConfigDefaults defaults = kDefaults;
  OLLM_TRY(const auto turned, config.optional<std::int64_t>("rotary_dim", sizes));
  OLLM_TRY(const auto head_dim, config.value_or<std::int64_t>("head_dim", kHeadDim, sizes));
  if (turned) {
    if (*turned > head_dim) {
      return config.error(ErrorKind::corrupt, "rotary_dim", "expected at most head_dim");
    }
    defaults.rotary.partial_rotary_factor =
        static_cast<double>(*turned) / static_cast<double>(head_dim);
  }
  OLLM_TRY(ModelConfig model, read_decoder(config, "minimax_m2", defaults));
  OLLM_TRY_VOID(read_attention_types(config));
  OLLM_TRY(model.mixture, read_mixture(config, model, kKeys));
  model.mixture->norm_topk_prob = true;
  return models::compose(std::move(model),
                         {.qk_norm = QkNorm::whole_row,
                          .mixture = MixtureBlueprint{.block = "block_sparse_moe",
                                                      .correction = "e_score_correction_bias",
                                                      .names = kW1W3W2,
                                                      .scores = RouterSpec::Scores::sigmoid}});
}

}  // namespace

const Family kMiniMaxM2{.name = "minimax_m2",
                        .model_type = "minimax_m2",
                        .architecture = "MiniMaxM2ForCausalLM",
                        .compose = compose};

}  // namespace ollm::models
