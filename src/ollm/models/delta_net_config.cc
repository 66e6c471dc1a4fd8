#include "ollm/models/delta_net_config.h"

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <utility>

#include "ollm/backend/delta_net.h"
#include "ollm/models/model_config.h"

namespace ollm::models {
namespace {

using checkpoint::ConfigObject;
using checkpoint::IntegerRange;

// Of a head, and of a layer's state; far above any published one, and far below what could overflow
// the bytes of all layers and lines.
constexpr std::int64_t kMostHeadSize = 1024;
constexpr std::size_t kMostStateElements = std::size_t{1} << 28;

Result<std::vector<bool>> read_layers(const ConfigObject& config, const ModelConfig& model) {
  std::vector<bool> layers(model.num_hidden_layers);
  OLLM_TRY(const auto types, config.list<std::string>("layer_types"));
  if (types.empty()) {
    OLLM_TRY(const auto interval,
             config.value_or<std::size_t>("full_attention_interval", 4,
                                          IntegerRange::positive(ModelConfigLimits::kLayers)));
    for (std::size_t i = 0; i < layers.size(); ++i) layers[i] = (i + 1) % interval != 0;
    return layers;
  }
  config.ignore("full_attention_interval");  // the list says it
  if (types.size() != layers.size())
    return not_one_a_layer(config, "layer_types", model, types.size());
  for (std::size_t i = 0; i < types.size(); ++i) {
    layers[i] = types[i] == "linear_attention";
    if (layers[i] || types[i] == "full_attention") continue;
    return config.error(ErrorKind::unsupported, "layer_types",
                        fmt::format("layer {} is of type '{}', which is not built", i, types[i]));
  }
  return layers;
}

}  // namespace

Result<DeltaNetConfig> read_delta_nets(const ConfigObject& config, const ModelConfig& model) {
  DeltaNetConfig out;
  const auto size = [&](std::string_view key, std::size_t absent, std::int64_t limit,
                        std::size_t& to) -> Result<void> {
    OLLM_TRY(to, config.value_or<std::size_t>(key, absent, IntegerRange::positive(limit)));
    return {};
  };
  const std::int64_t heads = ModelConfigLimits::kHeads;
  OLLM_TRY_VOID(
      size("linear_conv_kernel_dim", 4, backend::kMostConvTaps, out.linear_conv_kernel_dim));
  OLLM_TRY_VOID(size("linear_num_key_heads", 16, heads, out.linear_num_key_heads));
  OLLM_TRY_VOID(size("linear_num_value_heads", 32, heads, out.linear_num_value_heads));
  OLLM_TRY_VOID(size("linear_key_head_dim", 128, kMostHeadSize, out.linear_key_head_dim));
  OLLM_TRY_VOID(size("linear_value_head_dim", 128, kMostHeadSize, out.linear_value_head_dim));
  if (out.linear_num_value_heads % out.linear_num_key_heads != 0) {
    return config.error(ErrorKind::corrupt, "linear_num_value_heads",
                        fmt::format("expected a multiple of linear_num_key_heads {}, found {}",
                                    out.linear_num_key_heads, out.linear_num_value_heads));
  }
  const std::size_t state =
      out.linear_num_value_heads * out.linear_key_head_dim * out.linear_value_head_dim;
  if (state > kMostStateElements) {
    return config.error(
        ErrorKind::corrupt, "linear_num_value_heads",
        fmt::format("expected states of at most {} elements, found {}", kMostStateElements, state));
  }
  OLLM_TRY(out.layers, read_layers(config, model));
  return out;
}

}  // namespace ollm::models
