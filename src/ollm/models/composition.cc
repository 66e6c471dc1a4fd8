#include "ollm/models/composition.h"

#include <algorithm>

namespace ollm::models {

backend::KvLayout kv_layout(const AttentionSpec& mixer, backend::ComputeMode mode) {
  return {mixer.kv_heads, mixer.head_dim, mixer.head_dim, mode};
}

std::vector<backend::KvLayout> kv_layouts(const Composition& composition,
                                          backend::ComputeMode mode) {
  std::vector<backend::KvLayout> layouts;
  layouts.reserve(composition.layers.size());
  for (const LayerSpec& layer : composition.layers) layouts.push_back(kv_layout(layer.mixer, mode));
  return layouts;
}

Widths widths(const Composition& composition) {
  Widths widest;
  widest.hidden = composition.hidden_size;
  for (const LayerSpec& layer : composition.layers) {
    widest.q = std::max(widest.q, layer.mixer.q.out);
    widest.kv = std::max(widest.kv, layer.mixer.k.out);
    widest.intermediate = std::max(widest.intermediate, layer.feed_forward.up.out);
  }
  for (const RotarySpec& rotary : composition.rotaries)
    widest.rotary_pairs = std::max(widest.rotary_pairs, rotary.inverse_frequencies.size());
  return widest;
}

namespace {

std::uint64_t products(const LinearSpec& linear) {
  return static_cast<std::uint64_t>(linear.in) * linear.out;
}

}  // namespace

std::uint64_t layer_multiply_adds_per_row(const Composition& composition) {
  std::uint64_t sum = 0;
  for (const LayerSpec& layer : composition.layers) {
    const AttentionSpec& mixer = layer.mixer;
    sum += products(mixer.q) + products(mixer.k) + products(mixer.v) + products(mixer.o);
    const FeedForwardSpec& feed_forward = layer.feed_forward;
    if (feed_forward.gate) sum += products(*feed_forward.gate);
    sum += products(feed_forward.up) + products(feed_forward.down);
  }
  return sum;
}

std::uint64_t head_multiply_adds_per_row(const Composition& composition) {
  return products(composition.head);
}

}  // namespace ollm::models
