#include "ollm/models/composition.h"

#include <algorithm>
#include <utility>

namespace ollm::models {

const AttentionSpec* attention_of(const LayerSpec& layer) {
  return std::get_if<AttentionSpec>(&layer.mixer);
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

backend::KvLayout kv_layout(const AttentionSpec& mixer, backend::ComputeMode mode) {
  return {mixer.kv_heads, mixer.head_dim, mixer.value_dim.value_or(mixer.head_dim), mode};
}

namespace {

// What a layer of this mixer stores. Each kind says it: one with a recurrent state by
// LayerOptions::recurrent, and its block works on what kv::Line::chunk gives.
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

Widths widths(const Composition& composition) {
  Widths widest;
  widest.hidden = composition.hidden_size;
  for (const LayerSpec& layer : composition.layers) {
    if (const AttentionSpec* mixer = attention_of(layer)) {
      widest.q = std::max(widest.q, mixer->q.out);
      widest.attended = std::max(widest.attended, mixer->o.in);
      if (!mixer->kv_of_layer) {
        widest.k = std::max(widest.k, mixer->k.out);
        widest.v = std::max(widest.v, mixer->v.out);
      }
    }
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
