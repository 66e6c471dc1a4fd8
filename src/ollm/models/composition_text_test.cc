// That every field of a composition is in its text: stored KV is found by it.
#include "ollm/models/composition_text.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <string>
#include <utility>

namespace ollm::models {
namespace {

using Change = std::function<void(Composition&)>;

Composition made() {
  Composition model;
  model.hidden_size = 8;
  model.vocab_size = 16;
  model.max_positions = 64;
  for (const char* name : {"e", "q", "k", "v", "o", "gate", "up", "down", "head"})
    model.tape.matrices.push_back({.tensor = name, .rows = 8, .cols = 8, .tensor_rows = 8});
  for (const char* name : {"n", "bias"})
    model.tape.vectors.push_back({.tensor = name, .size = 8, .tensor_size = 8});
  model.rotaries.resize(1);
  model.rotaries[0].inverse_frequencies = {1.0F, 0.5F};
  model.embedding = {0};
  const auto linear = [](std::uint32_t index) { return LinearSpec{{index}, std::nullopt, 8, 8}; };
  model.head = linear(8);
  model.final_norm.eps = 0.5F;

  AttentionSpec mixer;
  mixer.heads = 2;
  mixer.kv_heads = 1;
  mixer.head_dim = 4;
  mixer.q = linear(1);
  mixer.k = linear(2);
  mixer.v = linear(3);
  mixer.o = linear(4);
  model.layers.resize(1);
  model.layers[0].before_mixer = model.layers[0].before_feed_forward = model.final_norm;
  model.layers[0].mixer = std::move(mixer);
  model.layers[0].feed_forward = DenseSpec{.gate = linear(5), .up = linear(6), .down = linear(7)};
  return model;
}

AttentionSpec& mixer_of(Composition& model) {
  return std::get<AttentionSpec>(model.layers[0].mixer);
}
DeltaNetSpec& delta_net_of(Composition& model) {
  if (!std::holds_alternative<DeltaNetSpec>(model.layers[0].mixer)) {
    DeltaNetSpec mixer;
    mixer.layout = {1, 2, 4, 2};
    mixer.taps = 4;
    mixer.qkv = mixer.b = mixer.o = model.head;
    mixer.z = mixer.a = model.head;
    mixer.norm = model.final_norm;
    model.layers[0].mixer = mixer;
  }
  return std::get<DeltaNetSpec>(model.layers[0].mixer);
}
DenseSpec& dense_of(Composition& model) {
  return std::get<DenseSpec>(model.layers[0].feed_forward);
}

// Names the fields of each part: one more does not compile, and wants its change below.
[[maybe_unused]] void all_fields(const Composition& model) {
  const LayerSpec& layer = model.layers[0];
  [[maybe_unused]] const auto& [hidden, vocab, positions, tape, embedding, multiplier, rotaries,
                                layers, residual, final_norm, head, stored_head, divisor, times,
                                cap] = model;
  [[maybe_unused]] const auto& [matrices, vectors, experts] = model.tape;
  [[maybe_unused]] const auto& [tensor, first_row, rows, cols, tensor_rows, section, held, scales,
                                format] = model.tape.matrices[0];
  [[maybe_unused]] const auto& [source, first, size, tensor_size, add, in_rows, taps] =
      model.tape.vectors[0];
  [[maybe_unused]] const auto& [frequencies, magnitude, beyond] = model.rotaries[0];
  [[maybe_unused]] const auto& [length, longer, magnitude_beyond] = *model.rotaries[0].beyond;
  [[maybe_unused]] const auto& [wiring, before_mixer, after_mixer, mixer, before_feed_forward,
                                feed_forward, after_feed_forward] = layer;
  [[maybe_unused]] const auto& [heads, kv_heads, head_dim, value_dim, scale, soft_cap, window,
                                rotary, interleaved, sinks, slopes, kv_of_layer, q, k, v, o, q_norm,
                                k_norm, whole_row, query_growth, gated] =
      std::get<AttentionSpec>(layer.mixer);
  [[maybe_unused]] const auto& [layout, taps_of_net, activation_of_net, qkv, z, b, a, convolution,
                                a_log, dt_bias, norm_of_net, out_of_net] =
      std::get<DeltaNetSpec>(layer.mixer);
  [[maybe_unused]] const auto& [key_heads, value_heads, key_size, value_size] = layout;
  [[maybe_unused]] const auto& [activation, gate, up, down] =
      std::get<DenseSpec>(layer.feed_forward);
  [[maybe_unused]] const auto& [weight, bias, in, out] = model.head;
  [[maybe_unused]] const auto& [kind, norm_weight, norm_bias, eps] = model.final_norm;
}

// Sections and `held` are no part of it: they say when a matrix is read; nor how it is stored,
// which is content. `in` and `out` of a linear
// layer are those of its matrix.
const Change kChanges[] = {
    [](Composition& m) { m.hidden_size = 9; },
    [](Composition& m) { m.vocab_size = 17; },
    [](Composition& m) { m.max_positions = 65; },
    [](Composition& m) { m.tape.matrices[0].tensor = "x"; },
    [](Composition& m) { m.tape.matrices[1].first_row = 1; },
    [](Composition& m) { m.tape.matrices[1].rows = 7; },
    [](Composition& m) { m.tape.matrices[1].cols = 7; },
    [](Composition& m) { m.tape.matrices[1].tensor_rows = 9; },
    [](Composition& m) { m.tape.matrices[1].scales = "x"; },
    [](Composition& m) { m.tape.vectors[0].tensor = "x"; },
    [](Composition& m) { m.tape.vectors[0].first = 1; },
    [](Composition& m) { m.tape.vectors[0].size = 7; },
    [](Composition& m) { m.tape.vectors[0].tensor_size = 9; },
    [](Composition& m) { m.tape.vectors[0].add = 1.0F; },
    [](Composition& m) { m.tape.vectors[0].add = 0.0F; },
    [](Composition& m) { m.tape.vectors[0].tensor_rows = 2; },
    [](Composition& m) { m.tape.vectors[0].taps = 2; },
    [](Composition& m) { m.embedding = {8}; },
    [](Composition& m) { m.embedding_multiplier = 2; },
    [](Composition& m) { m.rotaries[0].inverse_frequencies[1] = 0.25F; },
    [](Composition& m) { m.rotaries[0].magnitude = 2; },
    [](Composition& m) { m.rotaries[0].beyond = RotarySpec::Beyond{8, {1.0F}}; },
    [](Composition& m) { m.rotaries[0].beyond = RotarySpec::Beyond{9, {1.0F}}; },
    [](Composition& m) { m.rotaries[0].beyond = RotarySpec::Beyond{8, {1.0F}, 2.0F}; },
    [](Composition& m) { m.rotaries[0].beyond = RotarySpec::Beyond{8, {2.0F}}; },
    [](Composition& m) { m.rotaries.push_back(m.rotaries[0]); },
    [](Composition& m) { m.layers.push_back(m.layers[0]); },
    [](Composition& m) { m.layers[0].wiring = Wiring::parallel; },
    [](Composition& m) { m.layers[0].before_mixer.reset(); },
    [](Composition& m) { m.layers[0].after_mixer = m.final_norm; },
    [](Composition& m) { m.layers[0].before_feed_forward.reset(); },
    [](Composition& m) { m.layers[0].after_feed_forward = m.final_norm; },
    [](Composition& m) { m.layers[0].feed_forward = NoFeedForward{}; },
    [](Composition& m) { mixer_of(m).heads = 4; },
    [](Composition& m) { mixer_of(m).kv_heads = 2; },
    [](Composition& m) { mixer_of(m).head_dim = 2; },
    [](Composition& m) { mixer_of(m).value_dim = 2; },
    [](Composition& m) { mixer_of(m).scale = 0.5F; },
    [](Composition& m) { mixer_of(m).soft_cap = 0.5F; },
    [](Composition& m) { mixer_of(m).window = 4; },
    [](Composition& m) { mixer_of(m).rotary = 0; },
    [](Composition& m) { mixer_of(m).interleaved = true; },
    [](Composition& m) { mixer_of(m).sinks = VectorId{1}; },
    [](Composition& m) { mixer_of(m).distance_slopes = {0.5F, 0.25F}; },
    [](Composition& m) { mixer_of(m).distance_slopes = {0.5F, 0.125F}; },
    [](Composition& m) { mixer_of(m).kv_of_layer = 0; },
    [](Composition& m) { mixer_of(m).q.weight = {8}; },
    [](Composition& m) { mixer_of(m).q.bias = VectorId{1}; },
    [](Composition& m) { mixer_of(m).k.weight = {8}; },
    [](Composition& m) { mixer_of(m).v.weight = {8}; },
    [](Composition& m) { mixer_of(m).o.weight = {8}; },
    [](Composition& m) { mixer_of(m).gated = true; },
    [](Composition& m) { mixer_of(m).query_growth = {.step = 8, .factors = {1.0F}}; },
    [](Composition& m) { mixer_of(m).query_growth = {.step = 9, .factors = {1.0F}}; },
    [](Composition& m) { mixer_of(m).query_growth = {.step = 8, .factors = {2.0F}}; },
    [](Composition& m) { delta_net_of(m); },
    [](Composition& m) { delta_net_of(m).layout.key_heads = 2; },
    [](Composition& m) { delta_net_of(m).layout.value_heads = 4; },
    [](Composition& m) { delta_net_of(m).layout.key_size = 8; },
    [](Composition& m) { delta_net_of(m).layout.value_size = 8; },
    [](Composition& m) { delta_net_of(m).taps = 3; },
    [](Composition& m) { delta_net_of(m).activation = backend::Activation::gelu; },
    [](Composition& m) { delta_net_of(m).qkv.weight = {1}; },
    [](Composition& m) { delta_net_of(m).z.reset(); },
    [](Composition& m) { delta_net_of(m).b.weight = {1}; },
    [](Composition& m) { delta_net_of(m).a.reset(); },
    [](Composition& m) { delta_net_of(m).convolution = {1}; },
    [](Composition& m) { delta_net_of(m).a_log = {1}; },
    [](Composition& m) { delta_net_of(m).dt_bias = {1}; },
    [](Composition& m) { delta_net_of(m).norm.eps = 0.25F; },
    [](Composition& m) { delta_net_of(m).o.weight = {1}; },
    [](Composition& m) { mixer_of(m).q_norm = m.final_norm; },
    [](Composition& m) { mixer_of(m).k_norm = m.final_norm; },
    [](Composition& m) { mixer_of(m).norm_whole_row = true; },
    [](Composition& m) { dense_of(m).activation = backend::Activation::gelu; },
    [](Composition& m) { dense_of(m).gate.reset(); },
    [](Composition& m) { dense_of(m).up.weight = {8}; },
    [](Composition& m) { dense_of(m).down.weight = {8}; },
    [](Composition& m) { m.residual_multiplier = 2; },
    [](Composition& m) { m.final_norm.kind = NormKind::layer; },
    [](Composition& m) { m.final_norm.weight = {1}; },
    [](Composition& m) { m.final_norm.bias = VectorId{1}; },
    [](Composition& m) { m.final_norm.eps = 0.25F; },
    [](Composition& m) { m.head.weight = {1}; },
    [](Composition& m) { m.stored_head = "x"; },
    [](Composition& m) { m.logits_divisor = 2; },
    [](Composition& m) { m.logits_multiplier = 2; },
    [](Composition& m) { m.logits_cap = 2; },
};

TEST(CompositionText, HasEveryField) {
  std::set<std::string> texts{composition_text(made())};
  std::size_t number = 0;
  for (const Change& change : kChanges) {
    Composition changed = made();
    change(changed);
    EXPECT_TRUE(texts.insert(composition_text(changed)).second) << "change " << number;
    ++number;
  }
}

}  // namespace
}  // namespace ollm::models
