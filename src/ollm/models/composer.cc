#include "ollm/models/composer.h"

#include <fmt/format.h>

#include <utility>

namespace ollm::models {

Composer::Composer(std::size_t hidden_size, std::size_t max_positions) {
  out_.hidden_size = hidden_size;
  out_.max_positions = max_positions;
}

void Composer::embedding(std::string tensor, std::size_t vocab_size, float multiplier) {
  out_.vocab_size = vocab_size;
  out_.embedding = matrix(std::move(tensor), {0, vocab_size, vocab_size}, out_.hidden_size);
  out_.tape.matrices.back().section = weights::Section::embedding;
  out_.embedding_multiplier = multiplier;
}

LinearSpec Composer::linear(std::string_view name, std::size_t out, std::size_t in, bool bias) {
  return linear(name, {0, out, out}, in, bias);
}

LinearSpec Composer::linear(std::string_view name, Part part, std::size_t in, bool bias) {
  LinearSpec spec;
  spec.weight = matrix(fmt::format("{}.weight", name), part, in);
  if (bias) spec.bias = vector(fmt::format("{}.bias", name), part);
  spec.in = in;
  spec.out = part.out;
  return spec;
}

NormSpec Composer::norm(std::string_view name, NormKind kind, std::size_t size, float eps,
                        bool bias) {
  NormSpec spec;
  spec.kind = kind;
  spec.weight = vector(fmt::format("{}.weight", name), {0, size, size});
  if (kind == NormKind::rms) out_.tape.vectors.back().add = 0.0F;
  if (bias) spec.bias = vector(fmt::format("{}.bias", name), {0, size, size});
  spec.eps = eps;
  return spec;
}

std::size_t Composer::rotary(RotarySpec spec) {
  out_.rotaries.push_back(std::move(spec));
  return out_.rotaries.size() - 1;
}

void Composer::layer(LayerSpec layer) { out_.layers.push_back(std::move(layer)); }

void Composer::residual_multiplier(float multiplier) { out_.residual_multiplier = multiplier; }

void Composer::final_norm(NormSpec norm) { out_.final_norm = norm; }

void Composer::head(std::string tensor, float divisor) {
  const std::size_t vocab = out_.vocab_size;
  out_.head = {matrix(std::move(tensor), {0, vocab, vocab}, out_.hidden_size), std::nullopt,
               out_.hidden_size, vocab};
  out_.tape.matrices.back().section = weights::Section::head;
  out_.logits_divisor = divisor;
}

Composition Composer::take() { return std::move(out_); }

MatrixId Composer::matrix(std::string tensor, Part part, std::size_t in) {
  out_.tape.matrices.push_back(
      {std::move(tensor), part.first, part.out, in, part.whole, weights::Section::layers, false});
  return {static_cast<std::uint32_t>(out_.tape.matrices.size() - 1)};
}

VectorId Composer::vector(std::string tensor, Part part) {
  out_.tape.vectors.push_back({std::move(tensor), part.first, part.out, part.whole, {}, 0});
  return {static_cast<std::uint32_t>(out_.tape.vectors.size() - 1)};
}

}  // namespace ollm::models
