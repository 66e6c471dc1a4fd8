// The variations among transformers whose tensors are named as Llama's: where norms stand, what is
// fused, what is normed. From a config and a blueprint comes a composition.
// Leaves to others: who decides them: a family (models/<family>.cc) or the tensors (generic.cc).
#pragma once

#include <optional>
#include <string_view>

#include "ollm/models/expert_forms.h"
#include "ollm/models/family_model.h"

namespace ollm::models {

/// The norms of a layer by their tensors' names; empty: there is none.
struct LayerNorms {
  std::string_view before_mixer, after_mixer;
  std::string_view before_feed_forward, after_feed_forward;

  friend bool operator==(const LayerNorms&, const LayerNorms&) = default;
};
/// h += block(norm(h)): Llama and most.
inline constexpr LayerNorms kNormsBefore{"input_layernorm", "", "post_attention_layernorm", ""};
/// h += norm(block(h)): OLMo 2.
inline constexpr LayerNorms kNormsAfter{"", "post_attention_layernorm", "",
                                        "post_feedforward_layernorm"};
/// h += norm(block(norm(h))): Gemma 2.
inline constexpr LayerNorms kNormsAround{"input_layernorm", "post_attention_layernorm",
                                         "pre_feedforward_layernorm", "post_feedforward_layernorm"};
/// One before both blocks, side by side: Cohere.
inline constexpr LayerNorms kOneNorm{"input_layernorm", "", "", ""};

enum class QkNorm {
  none,
  per_head,   // each head alone, all with the same weights
  whole_row,  // all heads of a row together
  each_head,  // each head alone, with weights of its own: [heads, head_dim]
};

/// Where the experts of a layer stand, relative to its mixture.
enum class ExpertStorage {
  apart,    // experts.0.gate_proj, ...; or experts.gate_up_proj [experts, 2 inner, hidden]
  granite,  // input_linear [experts, 2 inner, hidden], output_linear
  gpt_oss,  // experts.gate_up_proj_blocks, ... in MXFP4; or [experts, hidden, 2 inner] interleaved
};

/// The feed-forward of layers that are mixtures: what its tensors are called, and what of its rule
/// no key says.
struct MixtureBlueprint {
  std::string_view block = "mlp";
  std::string_view router = "gate";
  std::string_view correction = {};  // empty: none
  bool correction_in_rows = false;   // its tensor is [1, experts], else [experts]
  ExpertStorage storage = ExpertStorage::apart;
  ExpertNames names = kGateUpDown;
  std::string_view shared = {};       // empty: there is no shared expert
  std::string_view shared_gate = {};  // empty: the shared one weighs 1
  RouterSpec::Scores scores = RouterSpec::Scores::softmax;
  float sum_offset = 0;  // added to the sum by which the chosen are normalised

  friend bool operator==(const MixtureBlueprint&, const MixtureBlueprint&) = default;
};

/// Qwen's mixtures that have a shared expert, weighed by a gate of its own.
inline constexpr MixtureBlueprint kQwenSharedExpert{.shared = "shared_expert",
                                                    .shared_gate = "shared_expert_gate"};

/// How the projections of delta nets stand in linear_attn.
enum class DeltaNetStorage {
  apart,        // in_proj_qkv, in_proj_z, in_proj_b, in_proj_a
  by_key_head,  // in_proj_qkvz, in_proj_ba: of each key head what belongs to it
};

struct Blueprint {
  LayerNorms norms = kNormsBefore;
  Wiring wiring = Wiring::sequential;
  bool norm_bias = false;
  bool one_plus_norms = false;  // norms of the residual stream, of q and of k multiply by 1 + w
  QkNorm qk_norm = QkNorm::none;
  bool fused_qkv = false;                               // self_attn.qkv_proj: q, then k, then v
  bool fused_gate_up = false;                           // mlp.gate_up_proj: gate, then up
  bool gated = true;                                    // else mlp.c_fc, mlp.c_proj
  bool interleaved = false;                             // the rotary turns neighbours
  bool sinks = false;                                   // self_attn.sinks
  bool gated_attention = false;                         // self_attn.q_proj gives queries and gates
  DeltaNetStorage delta_nets = DeltaNetStorage::apart;  // of layers that the config says
  std::optional<MixtureBlueprint> mixture = {};         // where the config has one

  friend bool operator==(const Blueprint&, const Blueprint&) = default;
};

/// Cannot fail: the config was checked when it was read, and whether the tensors are there and have
/// these shapes is checked by inventory.h.
FamilyModel compose(ModelConfig config, const Blueprint& blueprint);

}  // namespace ollm::models
