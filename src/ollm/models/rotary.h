// The frequencies of rotary position embeddings, for each type of scaling.
// Source: Transformers, modeling_rope_utils.py; Su et al., "RoFormer", 2021; Peng et al., "YaRN",
// 2023. Leaves to others: turning rows by them (backend/).
#pragma once

#include "ollm/models/composition.h"
#include "ollm/models/rotary_config.h"

namespace ollm::models {

/// Frequencies of rotary_size / 2 pairs, rounded to f32 where Transformers does; the attention
/// factor of yarn and longrope is the magnitude. `config` was checked when it was read.
RotarySpec rotary_spec(const RotaryConfig& config, std::size_t head_dim);

}  // namespace ollm::models
