// The variations among transformers whose tensors are named as Llama's: where norms stand, what is
// fused, what is normed. From a config and a blueprint comes a composition.
// Leaves to others: who decides them: a family (models/<family>.cc) or the tensors (generic.cc).
#pragma once

#include "ollm/models/family_model.h"

namespace ollm::models {

enum class NormPlacement {
  before,  // h += block(norm(h)): Llama and most
  after,   // h += norm(block(h)): OLMo 2
};

enum class QkNorm { none, per_head, whole_row };

struct Blueprint {
  NormPlacement placement = NormPlacement::before;
  bool norm_bias = false;
  QkNorm qk_norm = QkNorm::none;
  bool fused_qkv = false;      // self_attn.qkv_proj: q, then k, then v
  bool fused_gate_up = false;  // mlp.gate_up_proj: gate, then up
  bool gated = true;           // else mlp.c_fc, mlp.c_proj

  friend bool operator==(const Blueprint&, const Blueprint&) = default;
};

/// Cannot fail: the config was checked when it was read, and whether the tensors are there and have
/// these shapes is checked by inventory.h.
FamilyModel compose(ModelConfig config, const Blueprint& blueprint);

}  // namespace ollm::models
