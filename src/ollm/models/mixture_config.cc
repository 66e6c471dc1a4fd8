#include "ollm/models/mixture_config.h"

#include <fmt/format.h>

#include <optional>
#include <utility>
#include <vector>

namespace ollm::models {
namespace {

using checkpoint::ConfigObject;
using checkpoint::IntegerRange;

using Limits = ModelConfigLimits;

}  // namespace

Result<std::int64_t> read_aliased(const ConfigObject& config, const AliasedKey& key,
                                  IntegerRange range) {
  if (key.key.empty()) return key.absent;
  OLLM_TRY(const auto own, config.optional<std::int64_t>(key.key, range));
  if (key.alias.empty()) return own.value_or(key.absent);
  OLLM_TRY(const auto other, config.optional<std::int64_t>(key.alias, range));
  if (own && other && *own != *other) {
    return config.error(
        ErrorKind::unsupported, key.key,
        fmt::format("{} differs from {} {} beside it: which one counts is not known", *own,
                    key.alias, *other));
  }
  return own ? *own : other.value_or(key.absent);
}

Result<MixtureConfig> read_mixture(const ConfigObject& config, const ModelConfig& model,
                                   const MixtureKeys& keys) {
  MixtureConfig out;
  OLLM_TRY(const auto experts,
           read_aliased(config, keys.experts, IntegerRange::positive(Limits::kExperts)));
  OLLM_TRY(const auto per_token,
           read_aliased(config, keys.per_token, IntegerRange::positive(Limits::kExperts)));
  if (per_token > experts) {
    return config.error(
        ErrorKind::corrupt, keys.experts.key,
        fmt::format("expected at least the {} that a row meets, found {}", per_token, experts));
  }
  if (experts * static_cast<std::int64_t>(model.num_hidden_layers) > Limits::kExpertsOfAllLayers) {
    return config.error(ErrorKind::corrupt, keys.experts.key,
                        fmt::format("expected at most {} in all layers, found {} in each of {}",
                                    Limits::kExpertsOfAllLayers, experts, model.num_hidden_layers));
  }
  out.num_experts = static_cast<std::size_t>(experts);
  out.num_experts_per_tok = static_cast<std::size_t>(per_token);
  out.moe_intermediate_size = model.intermediate_size;
  if (!keys.inner.key.empty()) {
    OLLM_TRY(const auto inner,
             read_aliased(config, keys.inner, IntegerRange::positive(Limits::kDimension)));
    out.moe_intermediate_size = static_cast<std::size_t>(inner);
  }
  out.sparse.assign(model.num_hidden_layers, true);
  return out;
}

Result<void> read_norm_topk(const ConfigObject& config, bool absent, MixtureConfig& mixture) {
  OLLM_TRY(mixture.norm_topk_prob, config.value_or<bool>("norm_topk_prob", absent));
  return {};
}

Result<void> read_shared_expert(const ConfigObject& config, std::size_t absent,
                                MixtureConfig& mixture) {
  OLLM_TRY(mixture.shared_expert_intermediate_size,
           config.value_or<std::size_t>("shared_expert_intermediate_size", absent,
                                        IntegerRange::positive(Limits::kDimension)));
  return {};
}

Result<void> read_groups(const ConfigObject& config, MixtureConfig& mixture) {
  const IntegerRange range = IntegerRange::positive(Limits::kExperts);
  OLLM_TRY(mixture.n_group, config.value_or<std::size_t>("n_group", 1, range));
  OLLM_TRY(mixture.topk_group, config.value_or<std::size_t>("topk_group", 1, range));
  const std::size_t experts = mixture.num_experts;
  if (experts % mixture.n_group != 0 || experts / mixture.n_group < 2) {
    return config.error(ErrorKind::corrupt, "n_group",
                        fmt::format("expected equal groups of {} experts, at least two in each, "
                                    "found {} groups",
                                    experts, mixture.n_group));
  }
  if (mixture.topk_group <= mixture.n_group &&
      mixture.topk_group * (experts / mixture.n_group) >= mixture.num_experts_per_tok)
    return {};
  return config.error(
      ErrorKind::corrupt, "topk_group",
      fmt::format("expected at most {} groups, with {} experts or more, found {}", mixture.n_group,
                  mixture.num_experts_per_tok, mixture.topk_group));
}

Result<void> read_sparse_layers(const ConfigObject& config, MixtureConfig& mixture) {
  OLLM_TRY(const auto dense, config.list<std::int64_t>("mlp_only_layers"));
  OLLM_TRY(const auto step, config.value_or<std::int64_t>("decoder_sparse_step", 1,
                                                          IntegerRange::positive(Limits::kLayers)));
  for (std::size_t i = 0; i < mixture.sparse.size(); ++i)
    mixture.sparse[i] = (i + 1) % static_cast<std::size_t>(step) == 0;
  for (const std::int64_t layer : dense)
    if (layer >= 0 && std::cmp_less(layer, mixture.sparse.size()))
      mixture.sparse[static_cast<std::size_t>(layer)] = false;
  return {};
}

}  // namespace ollm::models
