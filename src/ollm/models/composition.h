// A model as a list of parts: which blocks in which order, with which weights and constants. Data
// only; written by families (models/<family>.cc), run by blocks/, sized by plan/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "ollm/backend/backend.h"
#include "ollm/kv/store.h"
#include "ollm/weights/tape_layout.h"

namespace ollm::models {

using weights::ExpertsId;
using weights::MatrixId;
using weights::VectorId;

/// y = x W^T + b, with W [out, in] as it is stored.
struct LinearSpec {
  MatrixId weight;
  std::optional<VectorId> bias;
  std::size_t in = 0;
  std::size_t out = 0;
};

enum class NormKind { rms, layer };

struct NormSpec {
  NormKind kind = NormKind::rms;
  VectorId weight;
  std::optional<VectorId> bias;  // layer norm only
  float eps = 0;
};

/// One set of rotary frequencies; layers name it by index.
struct RotarySpec {
  std::vector<float> inverse_frequencies;  // [pairs], f32 as Transformers computes them
  float magnitude = 1;                     // multiplies cosine and sine (yarn, longrope)

  /// Those of runs of more than `positions` tokens (longrope). One run has one set for all its
  /// tokens: settle_context() chooses, before anything is computed.
  struct Beyond {
    std::size_t positions = 0;
    std::vector<float> inverse_frequencies;
    std::optional<float> magnitude = std::nullopt;  // nothing: as of shorter ones
  };
  std::optional<Beyond> beyond;
};

/// Softmax attention with grouped heads (docs/architecture.md).
struct AttentionSpec {
  std::size_t heads = 0;
  std::size_t kv_heads = 0;
  std::size_t head_dim = 0;              // of q and k
  std::optional<std::size_t> value_dim;  // of v, and of what o reads; nothing: head_dim
  float scale = 0;
  float soft_cap = 0;                  // 0: none; else scores become cap * tanh(score / cap)
  std::size_t window = 0;              // 0: full history
  std::optional<std::size_t> rotary;   // index into Composition::rotaries; nothing: no rotation
  bool interleaved = false;            // rotates (x[2i], x[2i + 1]), else (x[i], x[i + pairs])
  std::optional<VectorId> sinks;       // [heads] logits that take part in the denominator only
  std::vector<float> distance_slopes;  // [heads]: scores lose slope * distance (ALiBi); or empty
  /// Reads the keys and values of this earlier layer, which has its own, and computes none: k, v
  /// and k_norm are not used then, and kv_heads, head_dim and value_dim are those of that layer.
  std::optional<std::size_t> kv_of_layer;
  LinearSpec q, k, v, o;
  /// Norms of q and k before the rotation: per head (weight [head_dim], or [heads, head_dim]) or
  /// over the whole row.
  std::optional<NormSpec> q_norm, k_norm;
  bool norm_whole_row = false;
  /// Queries grow with their position: those of positions [i * step, (i + 1) * step) are multiplied
  /// by factors[i] after the rotation.
  struct QueryGrowth {
    std::size_t step = 0;
    std::vector<float> factors;  // up to the model's last position
  };
  std::optional<QueryGrowth> query_growth;
  /// q gives of each head its query and then as much again, by whose sigmoid what is attended to is
  /// multiplied before o: q.out is 2 * heads * head_dim, and value_dim is head_dim.
  bool gated = false;
};

/// A gated delta net: a state that forgets and is corrected token by token, instead of keys and
/// values. With x of the last `taps` tokens through a convolution and its activation, q and k
/// brought to length 1, and beta and decay from b and a, the output is o(norm(rule(q, k, v)) *
/// silu(z)). Source: Yang, Kautz, Hatamizadeh, "Gated Delta Networks", 2024; Transformers,
/// qwen3_next.
struct DeltaNetSpec {
  backend::DeltaLayout layout;
  std::size_t taps = 0;
  backend::Activation activation = backend::Activation::silu;  // of what was convolved
  /// [2 * keys + values]: all queries, keys, then values. Where there is no z: of each key head its
  /// query, its key, and the values and z of its value heads, one head after the other.
  LinearSpec qkv;
  std::optional<LinearSpec> z;  // [values]
  /// [value_heads]. Where there is no a: of each key head the b and then the a of its value heads.
  LinearSpec b;
  std::optional<LinearSpec> a;
  VectorId convolution;     // [2 * keys + values, taps]
  VectorId a_log, dt_bias;  // [value_heads]
  NormSpec norm;            // of each value head's output
  LinearSpec o;

  std::size_t keys() const { return layout.key_heads * layout.key_size; }
  std::size_t values() const { return layout.value_heads * layout.value_size; }
  /// What goes through the convolution: queries, keys, values.
  std::size_t channels() const { return 2 * keys() + values(); }
};

/// down(activation(gate(x)) * up(x)), or down(activation(up(x))) without a gate.
struct DenseSpec {
  backend::Activation activation = backend::Activation::silu;
  std::optional<LinearSpec> gate;
  LinearSpec up;
  LinearSpec down;
};

/// How a row chooses its experts, and what each then weighs (blocks/routing.h). Products and scores
/// are f32 in both modes, of a row that was not rounded; ties go to the lower number. Source:
/// Shazeer et al., "Outrageously Large Neural Networks", 2017.
struct RouterSpec {
  enum class Scores {
    softmax,            // of all experts' products
    softmax_of_chosen,  // the largest products are chosen, and the softmax is taken of those alone
    sigmoid,            // of each product
    sparse_mixer,       // Phi-3.5-MoE's: two experts, each by a softmax over those near to the best
  };
  LinearSpec products;  // [experts, hidden], held
  Scores scores = Scores::softmax;
  std::size_t chosen = 0;  // of each row
  /// [experts], added to scores where experts are chosen, but not to what they weigh.
  std::optional<VectorId> correction;
  /// Experts stand in so many groups of equal size, and only those of the best groups are chosen;
  /// a group is as good as its best two experts together, corrections included.
  /// Source: DeepSeek-AI, "DeepSeek-V3 Technical Report", 2024.
  std::size_t groups = 1;
  std::size_t chosen_groups = 1;
  bool best_of_group = false;  // a group is as good as its best expert alone (DeepSeek-V2)
  bool normalised = false;     // scores of the chosen are divided by their sum
  float least_sum = 0;         // that sum is taken for at least this
  float sum_offset = 0;        // and this is added to it
  float scaling = 1;           // multiplies what the chosen weigh
  float jitter = 0;  // sparse_mixer: what is near to the best, Phi-3.5-MoE's router_jitter_noise
};

/// gpt-oss's gated activation, (up + 1) * gate * sigmoid(alpha * gate), of what is clamped first:
/// gate from above, up from both sides.
struct ClampedSwiglu {
  float alpha = 1.702F;
  float limit = 7;
};

/// A feed-forward of which each row meets some experts alone:
///
///   sum over the row's experts e, ascending, of weight(e) * expert_e(x), then + shared(x)
///
/// where every expert is a gated feed-forward as DenseSpec is.
struct MixtureSpec {
  RouterSpec router;
  ExpertsId experts;
  std::size_t inner = 0;  // of one expert
  backend::Activation activation = backend::Activation::silu;
  std::optional<ClampedSwiglu> clamped;  // instead of the activation; gate and up are interleaved
  /// [experts, inner or twice that] as the first products give them, and [experts, hidden].
  std::optional<VectorId> gate_up_bias, down_bias;
  std::optional<DenseSpec> shared;  // met by every row
  std::optional<LinearSpec>
      shared_gate;  // [1, hidden]: sigmoid of its product weighs the shared one
};

/// What mixes tokens in a layer, and what works on each alone. The engine visits: a further kind is
/// a further alternative, and a block beside those of blocks/.
using MixerSpec = std::variant<AttentionSpec, DeltaNetSpec>;
struct NoFeedForward {};
using FeedForwardSpec = std::variant<DenseSpec, MixtureSpec, NoFeedForward>;

enum class Wiring {
  sequential,  // h += after(mixer(before(h))), then the same with the feed-forward
  parallel,    // both read the h that comes in: h += mixer(...), h += feed_forward(...)
};

/// Each sum takes residual_multiplier times what is added. In a parallel layer without
/// before_feed_forward both blocks read the same norm.
struct LayerSpec {
  Wiring wiring = Wiring::sequential;
  std::optional<NormSpec> before_mixer, after_mixer;
  MixerSpec mixer;
  std::optional<NormSpec> before_feed_forward, after_feed_forward;
  FeedForwardSpec feed_forward;
};

/// The attention of a layer, or nullptr where something else mixes its tokens.
const AttentionSpec* attention_of(const LayerSpec& layer);
/// The same of its delta net, its dense feed-forward, and its mixture.
const DeltaNetSpec* delta_net_of(const LayerSpec& layer);
const DenseSpec* dense_of(const LayerSpec& layer);
const MixtureSpec* mixture_of(const LayerSpec& layer);

struct Composition {
  std::size_t hidden_size = 0;
  std::size_t vocab_size = 0;  // rows of the embedding: ids must be below it
  std::size_t max_positions = 0;

  weights::TapeLayout tape;
  MatrixId embedding;
  float embedding_multiplier = 1;
  std::vector<RotarySpec> rotaries;
  std::vector<LayerSpec> layers;
  float residual_multiplier = 1;
  NormSpec final_norm;
  LinearSpec head;
  /// The tensor of a head that is stored beside an embedding which serves as head; or empty.
  std::string stored_head;
  float logits_divisor = 1;
  float logits_multiplier = 1;
  float logits_cap = 0;  // 0: none; else logits become cap * tanh(logits / cap)
};

/// Chooses what depends on how long a run may become: longrope's frequencies. Returns the original
/// length where that was a choice.
std::optional<std::size_t> settle_context(Composition& composition, std::size_t context_tokens);

/// What a delta net keeps of a line: of a chunk the state before it with the inputs of the last
/// taps - 1 tokens behind that, [taps - 1, channels]; of each row its inputs [channels], then what
/// the backend keeps (backend::kept_floats). All f32.
kv::RecurrentLayout recurrent_layout(const DeltaNetSpec& mixer);

/// How one layer's keys and values lie in KV.
backend::KvLayout kv_layout(const AttentionSpec& mixer, backend::ComputeMode mode);

/// What every layer stores, for kv::Options.
std::vector<kv::LayerOptions> kv_layers(const Composition& composition, backend::ComputeMode mode);

/// Widest row of each kind of activation, over all layers; what buffers are sized by.
struct Widths {
  std::size_t hidden = 0;
  std::size_t q = 0;             // heads * head_dim
  std::size_t k = 0;             // kv_heads * head_dim
  std::size_t v = 0;             // kv_heads * value_dim
  std::size_t attended = 0;      // heads * value_dim
  std::size_t intermediate = 0;  // of a feed-forward
  std::size_t rotary_pairs = 0;
  std::size_t side = 0;         // hidden where some layer is parallel
  std::size_t projected = 0;    // what is taken apart: queries with gates; of delta nets all inputs
  std::size_t mixer_gate = 0;   // by which a mixer's output is multiplied
  std::size_t channels = 0;     // of delta nets
  std::size_t delta_heads = 0;  // value heads of delta nets
  std::size_t taps = 0;         // of their convolutions
};
Widths widths(const Composition& composition);

/// Multiply-adds of all matrix products for one row, of them those of the experts that it chooses,
/// and of the head for one row of logits.
std::uint64_t layer_multiply_adds_per_row(const Composition& composition);
std::uint64_t expert_multiply_adds_per_row(const Composition& composition);
std::uint64_t head_multiply_adds_per_row(const Composition& composition);

}  // namespace ollm::models
