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
                        bool bias, float add) {
  NormSpec spec;
  spec.kind = kind;
  spec.weight = vector(fmt::format("{}.weight", name), {0, size, size});
  if (kind == NormKind::rms) out_.tape.vectors.back().add = add;
  if (bias) spec.bias = vector(fmt::format("{}.bias", name), {0, size, size});
  spec.eps = eps;
  return spec;
}

VectorId Composer::values(std::string tensor, std::size_t size, std::size_t rows) {
  const VectorId id = vector(std::move(tensor), {0, size, size});
  out_.tape.vectors.back().tensor_rows = rows;
  return id;
}

VectorId Composer::convolution(std::string tensor, std::size_t channels, std::size_t taps) {
  const std::size_t size = channels * taps;
  const VectorId id = vector(std::move(tensor), {0, size, size});
  out_.tape.vectors.back().taps = taps;
  return id;
}

LinearSpec Composer::router(std::string_view name, std::size_t experts, bool bias) {
  const LinearSpec spec = linear(name, experts, out_.hidden_size, bias);
  out_.tape.matrices.back().held = true;
  return spec;
}

ExpertsId Composer::experts(std::size_t count, std::vector<weights::ExpertsForm> forms) {
  out_.tape.experts.push_back({count, std::move(forms)});
  return {static_cast<std::uint32_t>(out_.tape.experts.size() - 1)};
}

std::size_t Composer::rotary(RotarySpec spec) {
  out_.rotaries.push_back(std::move(spec));
  return out_.rotaries.size() - 1;
}

void Composer::layer(LayerSpec layer) { out_.layers.push_back(std::move(layer)); }

void Composer::residual_multiplier(float multiplier) { out_.residual_multiplier = multiplier; }

void Composer::final_norm(NormSpec norm) { out_.final_norm = norm; }

void Composer::head(std::string tensor, float divisor, bool bias) {
  const std::size_t vocab = out_.vocab_size;
  out_.head = {matrix(std::move(tensor), {0, vocab, vocab}, out_.hidden_size), std::nullopt,
               out_.hidden_size, vocab};
  out_.tape.matrices.back().section = weights::Section::head;
  if (bias) out_.head.bias = vector("lm_head.bias", {0, vocab, vocab});
  out_.logits_divisor = divisor;
}

void Composer::logits(float multiplier, float cap) {
  out_.logits_multiplier = multiplier;
  out_.logits_cap = cap;
}

Composition Composer::take() { return std::move(out_); }

MatrixId Composer::matrix(std::string tensor, Part part, std::size_t in) {
  weights::MatrixUse use;
  use.tensor = std::move(tensor);
  use.first_row = part.first;
  use.rows = part.out;
  use.cols = in;
  use.tensor_rows = part.whole;
  out_.tape.matrices.push_back(std::move(use));
  return {static_cast<std::uint32_t>(out_.tape.matrices.size() - 1)};
}

VectorId Composer::vector(std::string tensor, Part part) {
  out_.tape.vectors.push_back({std::move(tensor), part.first, part.out, part.whole});
  return {static_cast<std::uint32_t>(out_.tape.vectors.size() - 1)};
}

}  // namespace ollm::models
