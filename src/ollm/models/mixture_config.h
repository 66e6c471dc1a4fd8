// The readers of config.json's keys for experts that families share. Leaves to others: which keys a
// family reads, with which defaults (models/<family>.cc).
#pragma once

#include <cstdint>
#include <string_view>

#include "ollm/base/result.h"
#include "ollm/checkpoint/config_object.h"
#include "ollm/models/model_config.h"

namespace ollm::models {

/// A number under the key of a config class, or under another that its attribute_map names; without
/// a key always the same.
struct AliasedKey {
  std::string_view key;
  std::string_view alias = {};  // empty: there is none
  std::int64_t absent = 0;
};

/// Errors: corrupt for a value out of `range`; unsupported where both keys say something else.
Result<std::int64_t> read_aliased(const checkpoint::ConfigObject& config, const AliasedKey& key,
                                  checkpoint::IntegerRange range);

/// How many experts a layer has, how many of them a row meets and how wide each is: the keys, or
/// without its key intermediate_size. All layers are mixtures.
struct MixtureKeys {
  AliasedKey experts, per_token;
  AliasedKey inner = {};
};

/// Errors: corrupt for values out of range, for more experts a row than there are, for more experts
/// in all layers than ModelConfigLimits allow.
Result<MixtureConfig> read_mixture(const checkpoint::ConfigObject& config, const ModelConfig& model,
                                   const MixtureKeys& keys);

/// norm_topk_prob.
Result<void> read_norm_topk(const checkpoint::ConfigObject& config, bool absent,
                            MixtureConfig& mixture);

/// shared_expert_intermediate_size: of an expert that every row meets.
Result<void> read_shared_expert(const checkpoint::ConfigObject& config, std::size_t absent,
                                MixtureConfig& mixture);

/// n_group and topk_group. Errors: corrupt where the groups are not of one size of two or more
/// experts, or those that are kept have fewer than a row meets.
Result<void> read_groups(const checkpoint::ConfigObject& config, MixtureConfig& mixture);

/// mlp_only_layers and decoder_sparse_step of Qwen 2 and 3: which layers are no mixtures.
Result<void> read_sparse_layers(const checkpoint::ConfigObject& config, MixtureConfig& mixture);

}  // namespace ollm::models
