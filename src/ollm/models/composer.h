// Puts a model together part by part: each call names tensors, puts them on the tape in the order
// of the calls, which is the order of a sweep, and gives back the part that a layer is made of.
// Leaves to others: which parts a family has (models/<family>.cc) and whether the tensors are there
// (inventory.h).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/models/composition.h"

namespace ollm::models {

/// Composes one model. Nothing here can fail: sizes were checked when the config was read, and
/// names and shapes are held against the tensors afterwards.
///
///     Composer composer(hidden_size, positions);
///     composer.embedding("model.embed_tokens.weight", vocab_size);
///     for (...) composer.layer({.before_mixer = composer.norm(...), .mixer = ..., ...});
///     composer.final_norm(composer.norm(...));
///     composer.head("lm_head.weight");
///     Composition model = composer.take();
class Composer {
 public:
  /// hidden_size: of the residual stream; max_positions: that may be planned.
  Composer(std::size_t hidden_size, std::size_t max_positions);

  /// Outputs [first, first + out) of a stored matrix [whole, in]: fused projections are several.
  struct Part {
    std::size_t first = 0;
    std::size_t out = 0;
    std::size_t whole = 0;
  };

  /// The matrix whose rows tokens are, [vocab_size, hidden_size].
  void embedding(std::string tensor, std::size_t vocab_size, float multiplier = 1);

  /// name.weight [out, in] and, with `bias`, name.bias [out].
  LinearSpec linear(std::string_view name, std::size_t out, std::size_t in, bool bias);
  LinearSpec linear(std::string_view name, Part part, std::size_t in, bool bias);

  /// name.weight [size] and, with `bias`, name.bias [size]. `add` is added to the weight of an RMS
  /// norm: 1 where it multiplies by 1 + w.
  NormSpec norm(std::string_view name, NormKind kind, std::size_t size, float eps, bool bias,
                float add = 0);

  /// A vector by the whole name of its tensor, [size]; with `rows` its tensor is [rows, size /
  /// rows]: a bias of each expert.
  VectorId values(std::string tensor, std::size_t size, std::size_t rows = 0);

  /// The weights of a convolution of each channel over the last `taps` tokens, by the whole name of
  /// its tensor, [channels, 1, taps].
  VectorId convolution(std::string tensor, std::size_t channels, std::size_t taps);

  /// What chooses experts, name.weight [experts, hidden_size] and, with `bias`, name.bias; in
  /// memory whatever the limit.
  LinearSpec router(std::string_view name, std::size_t experts, bool bias);

  /// The experts of a layer, and how they may be stored (expert_forms.h): the first form whose
  /// tensors are there is kept when the composition is bound.
  ExpertsId experts(std::size_t count, std::vector<weights::ExpertsForm> forms);

  /// The index by which layers name it.
  std::size_t rotary(RotarySpec spec);

  void layer(LayerSpec layer);
  void residual_multiplier(float multiplier);

  void final_norm(NormSpec norm);
  /// The matrix of the logits; the embedding's own where the head is tied. Logits are divided by
  /// `divisor`. With `bias` lm_head.bias is added before.
  void head(std::string tensor, float divisor = 1, bool bias = false);

  /// Logits are multiplied by `multiplier`, then, where `cap` is not 0, capped by it.
  void logits(float multiplier, float cap);

  Composition take();

 private:
  MatrixId matrix(std::string tensor, Part part, std::size_t in);
  VectorId vector(std::string tensor, Part part);

  Composition out_;
};

}  // namespace ollm::models
