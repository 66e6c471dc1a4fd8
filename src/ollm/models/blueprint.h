// The variations among transformers whose tensors are named as Llama's: which of our blocks, fused
// or not, with which norms and biases. From a blueprint and a config comes a composition.
// Leaves to others: who decides them: a family (llama.cc) or the tensors (generic.cc).
#pragma once

#include <string>

#include "ollm/models/composition.h"
#include "ollm/models/model_config.h"

namespace ollm::models {

enum class NormPlacement {
  before,  // h += block(norm(h)): Llama and most
  after,   // h += norm(block(h)): OLMo 2
};

enum class QkNorm { none, per_head, whole_row };

struct Blueprint {
  NormKind norm_kind = NormKind::rms;
  bool norm_bias = false;
  NormPlacement placement = NormPlacement::before;
  bool qkv_bias = false;
  bool o_bias = false;
  bool mlp_bias = false;
  QkNorm qk_norm = QkNorm::none;
  bool fused_qkv = false;      // self_attn.qkv_proj: q, then k, then v
  bool fused_gate_up = false;  // mlp.gate_up_proj: gate, then up
  bool gated = true;           // else mlp.c_fc, mlp.c_proj
  backend::Activation activation = backend::Activation::silu;
  bool tied_head = false;

  friend bool operator==(const Blueprint&, const Blueprint&) = default;
};

/// Cannot fail: the config was checked when it was parsed, and whether the tensors are there and
/// have these shapes is checked by inventory.h.
Composition compose(const ModelConfig& config, const Blueprint& blueprint);

}  // namespace ollm::models
