// What config.json says of gated delta nets, spelt as the Qwen types do that have them: sizes, and
// which layers they mix. Leaves to others: the composition (blueprint.h).
#pragma once

#include <cstddef>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/checkpoint/config_object.h"

namespace ollm::models {

struct ModelConfig;

struct DeltaNetConfig {
  std::size_t linear_conv_kernel_dim = 0;
  std::size_t linear_num_key_heads = 0;
  std::size_t linear_num_value_heads = 0;
  std::size_t linear_key_head_dim = 0;
  std::size_t linear_value_head_dim = 0;
  std::vector<bool> layers;  // per layer: whether it is one, else attention

  friend bool operator==(const DeltaNetConfig&, const DeltaNetConfig&) = default;
};

/// Reads all of them; layer_types, or every full_attention_interval-th layer is attention. Errors:
/// corrupt for a value of the wrong type or out of its range, heads that do not divide, another
/// number of types than of layers; unsupported for layers of another type; each by the key's name.
Result<DeltaNetConfig> read_delta_nets(const checkpoint::ConfigObject& config,
                                       const ModelConfig& model);

}  // namespace ollm::models
