#include "ollm/models/composition.h"

#include <algorithm>
#include <utility>

namespace ollm::models {

const AttentionSpec* attention_of(const LayerSpec& layer) {
  return std::get_if<AttentionSpec>(&layer.mixer);
}

const DeltaNetSpec* delta_net_of(const LayerSpec& layer) {
  return std::get_if<DeltaNetSpec>(&layer.mixer);
}

const DenseSpec* dense_of(const LayerSpec& layer) {
  return std::get_if<DenseSpec>(&layer.feed_forward);
}

const MixtureSpec* mixture_of(const LayerSpec& layer) {
  return std::get_if<MixtureSpec>(&layer.feed_forward);
}

std::optional<std::size_t> settle_context(Composition& composition, std::size_t context_tokens) {
  std::optional<std::size_t> original;
  for (RotarySpec& rotary : composition.rotaries) {
    if (!rotary.beyond) continue;
    original = rotary.beyond->positions;
    if (context_tokens > *original) {
      rotary.inverse_frequencies = std::move(rotary.beyond->inverse_frequencies);
      rotary.magnitude = rotary.beyond->magnitude.value_or(rotary.magnitude);
    }
    rotary.beyond.reset();
  }
  return original;
}

kv::RecurrentLayout recurrent_layout(const DeltaNetSpec& mixer) {
  const std::size_t tail = (mixer.taps - 1) * mixer.channels();
  return {.state_bytes = (backend::state_floats(mixer.layout) + tail) * sizeof(float),
          .row_bytes = (mixer.channels() + backend::kept_floats(mixer.layout)) * sizeof(float)};
}

backend::KvLayout kv_layout(const AttentionSpec& mixer, backend::ComputeMode mode) {
  return {mixer.kv_heads, mixer.head_dim, mixer.value_dim.value_or(mixer.head_dim), mode};
}

namespace {

// What a layer of this mixer stores. Each kind says it: one with a recurrent state by
// LayerOptions::recurrent, and its block works on what kv::Line::chunk gives.
kv::LayerOptions kv_layer(const DeltaNetSpec& mixer, backend::ComputeMode) {
  return {.layout = {}, .of_layer = {}, .recurrent = recurrent_layout(mixer)};
}
kv::LayerOptions kv_layer(const AttentionSpec& mixer, backend::ComputeMode mode) {
  return {.layout = kv_layout(mixer, mode), .window = mixer.window, .of_layer = mixer.kv_of_layer};
}

}  // namespace

std::vector<kv::LayerOptions> kv_layers(const Composition& composition, backend::ComputeMode mode) {
  std::vector<kv::LayerOptions> layers;
  layers.reserve(composition.layers.size());
  for (const LayerSpec& layer : composition.layers) {
    layers.push_back(
        std::visit([&](const auto& mixer) { return kv_layer(mixer, mode); }, layer.mixer));
  }
  return layers;
}

namespace {

void widen_for(const DeltaNetSpec& mixer, Widths& widest) {
  const auto widen = [](std::size_t& width, std::size_t to) { width = std::max(width, to); };
  widen(widest.projected, std::max({mixer.qkv.out, mixer.channels(), mixer.b.out}));
  widen(widest.mixer_gate, mixer.values());
  widen(widest.attended, mixer.values());
  widen(widest.channels, mixer.channels());
  widen(widest.delta_heads, mixer.layout.value_heads);
  widen(widest.taps, mixer.taps);
}

}  // namespace

Widths widths(const Composition& composition) {
  Widths widest;
  widest.hidden = composition.hidden_size;
  for (const LayerSpec& layer : composition.layers) {
    if (const AttentionSpec* mixer = attention_of(layer)) {
      widest.q = std::max(widest.q, mixer->heads * mixer->head_dim);
      widest.attended = std::max(widest.attended, mixer->o.in);
      if (!mixer->kv_of_layer) {
        widest.k = std::max(widest.k, mixer->k.out);
        widest.v = std::max(widest.v, mixer->v.out);
      }
      if (mixer->gated) {
        widest.projected = std::max(widest.projected, mixer->q.out);
        widest.mixer_gate = std::max(widest.mixer_gate, mixer->o.in);
      }
    }
    if (const DeltaNetSpec* mixer = delta_net_of(layer)) widen_for(*mixer, widest);
    if (const DenseSpec* dense = dense_of(layer))
      widest.intermediate = std::max(widest.intermediate, dense->up.out);
    if (const MixtureSpec* mixture = mixture_of(layer); mixture != nullptr && mixture->shared)
      widest.intermediate = std::max(widest.intermediate, mixture->shared->up.out);
    if (layer.wiring == Wiring::parallel) widest.side = widest.hidden;
  }
  for (const RotarySpec& rotary : composition.rotaries)
    widest.rotary_pairs = std::max(widest.rotary_pairs, rotary.inverse_frequencies.size());
  return widest;
}

namespace {

std::uint64_t products(const LinearSpec& linear) {
  return static_cast<std::uint64_t>(linear.in) * linear.out;
}

// Of a delta net the projections and what the rule takes: reading a state twice, writing it once a
// chunk, and half a chunk of keys and writes.
std::uint64_t products(const DeltaNetSpec& mixer) {
  const backend::DeltaLayout& layout = mixer.layout;
  const std::uint64_t of_keys = backend::kDeltaChunkTokens * mixer.keys();
  const std::uint64_t of_values =
      (3 * layout.key_size + backend::kDeltaChunkTokens) * std::uint64_t{mixer.values()};
  return products(mixer.qkv) + (mixer.z ? products(*mixer.z) : 0) + products(mixer.b) +
         (mixer.a ? products(*mixer.a) : 0) + products(mixer.o) + mixer.channels() * mixer.taps +
         of_keys + of_values;
}

std::uint64_t products(const DenseSpec& dense) {
  return (dense.gate ? products(*dense.gate) : 0) + products(dense.up) + products(dense.down);
}

}  // namespace

std::uint64_t expert_multiply_adds_per_row(const Composition& composition) {
  std::uint64_t sum = 0;
  for (const LayerSpec& layer : composition.layers) {
    const MixtureSpec* mixture = mixture_of(layer);
    if (mixture == nullptr) continue;
    std::uint64_t of_one = 0;
    for (const weights::ExpertMatrix& matrix :
         composition.tape.experts[mixture->experts.index].form().matrices)
      of_one += static_cast<std::uint64_t>(matrix.rows) * matrix.cols;
    sum += of_one * mixture->router.chosen;
  }
  return sum;
}

std::uint64_t layer_multiply_adds_per_row(const Composition& composition) {
  std::uint64_t sum = expert_multiply_adds_per_row(composition);
  for (const LayerSpec& layer : composition.layers) {
    if (const AttentionSpec* mixer = attention_of(layer)) {
      sum += products(mixer->q) + products(mixer->o);
      if (!mixer->kv_of_layer) sum += products(mixer->k) + products(mixer->v);
    }
    if (const DeltaNetSpec* mixer = delta_net_of(layer)) sum += products(*mixer);
    if (const DenseSpec* dense = dense_of(layer)) sum += products(*dense);
    if (const MixtureSpec* mixture = mixture_of(layer)) {
      sum += products(mixture->router.products);
      if (mixture->shared) sum += products(*mixture->shared);
    }
  }
  return sum;
}

std::uint64_t head_multiply_adds_per_row(const Composition& composition) {
  return products(composition.head);
}

}  // namespace ollm::models
