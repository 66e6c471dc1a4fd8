// The keys of config.json that tell how positions turn q and k, in the forms of Transformers 4
// (rope_theta, rope_scaling) and 5 (rope_parameters).
// Leaves to others: the frequencies (rotary.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/checkpoint/config_object.h"

namespace ollm::models {

enum class RotaryType { default_, linear, dynamic, llama3, yarn, longrope };

/// The name in config.json: "default", "linear", ...
std::string_view to_string(RotaryType type);

struct RotaryConfig {
  RotaryType type = RotaryType::default_;
  double theta = 10000;
  double factor = 1;
  double partial_rotary_factor = 1;
  std::size_t original_max_position_embeddings = 0;                // llama3, yarn, longrope
  double low_freq_factor = 1, high_freq_factor = 4;                // llama3
  std::optional<double> attention_factor, mscale, mscale_all_dim;  // yarn; the first longrope too
  double beta_fast = 32, beta_slow = 1;
  bool truncate = true;
  std::vector<double> short_factor, long_factor;    // longrope: one a pair
  std::optional<double> short_mscale, long_mscale;  // longrope of Phi-3.5-MoE: the magnitudes

  friend bool operator==(const RotaryConfig&, const RotaryConfig&) = default;
};

/// Elements of a head that are turned, in pairs: head_dim * partial_rotary_factor, cut to a whole
/// number as in Transformers.
std::size_t rotary_size(const RotaryConfig& config, std::size_t head_dim);

/// What differs between families.
struct RotaryDefaults {
  double theta = 10000;
  /// Whether partial_rotary_factor turns a part of each head alone; else it has no effect, and with
  /// a scaled rotary it is what Transformers cannot run either.
  bool partial = false;
  double partial_rotary_factor = 1;  // where no key says it
  /// Whether rope_scaling may say `type` alone; else it is read as if that was not there.
  bool older_type = true;
  /// Phi-3: "su" and "yarn" are older names of longrope, and no other scaling is known.
  bool longrope_alone = false;
  /// Phi-3.5-MoE: longrope says its magnitudes, short_mscale and long_mscale; no other scaling.
  bool mscales = false;
  /// The length before longrope where the key is not at the top: it goes before what stands in
  /// rope_scaling, as the key does. 0: there is none.
  std::int64_t original_max_position_embeddings = 0;
};

/// What one of several sorts of layers is turned by.
struct RotaryOfType {
  std::string_view type;                      // of layer_types: "full_attention"
  std::string_view theta_key = "rope_theta";  // beside rope_parameters; empty: there is none
  double theta = 10000;                       // where no key says it
  bool scaled = false;                        // rope_scaling is its
};
/// The same where rope_parameters has an object for each sort of layers. Errors: as read_rotary.
Result<RotaryConfig> read_rotary_of_type(const checkpoint::ConfigObject& config,
                                         const RotaryOfType& of, std::size_t head_dim,
                                         std::size_t max_position_embeddings);

/// Reads and checks all of them. Where both forms stand side by side they have to say the same.
/// Errors: corrupt for values of the wrong type, out of range or of the wrong number; unsupported
/// for a rotary type that is not built, or two forms that differ; each by the key's name.
Result<RotaryConfig> read_rotary(const checkpoint::ConfigObject& config,
                                 const RotaryDefaults& defaults, std::size_t head_dim,
                                 std::size_t max_position_embeddings);

}  // namespace ollm::models
