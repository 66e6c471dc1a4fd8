#include "ollm/models/blocks/feed_forward.h"

#include <algorithm>

#include "ollm/base/check.h"

namespace ollm::models {
namespace {

// gate(x) and up(x) of pieces of rows, for one and the same segment of weights: only the gate's
// side stands in memory for all rows. Each output is the same dot product as without pieces.
Result<void> gate_in_pieces(const SweepTools& tools, const DenseSpec& spec, std::size_t rows,
                            Activations& activations) {
  backend::Backend& backend = tools.backend;
  const std::size_t piece = activations.feed_forward_rows;
  const std::size_t stride = left_piece_bytes(backend, piece, spec.up.in);
  const auto count = [&](std::size_t first) { return std::min(piece, rows - first); };
  for (std::size_t first = 0; first < rows; first += piece) {
    backend.prepare_left(activations.normed.as<float>() + first * spec.up.in, spec.up.in,
                         count(first), spec.up.in,
                         activations.left.data() + first / piece * stride);
  }
  const auto left = [&](std::size_t first) {
    return backend::LeftOperand{activations.left.data() + first / piece * stride, count(first),
                                spec.up.in};
  };
  float* gate = activations.gate.as<float>();
  float* up = activations.up.as<float>();
  const std::size_t width = spec.up.out;
  OLLM_TRY_VOID(tools.pass.for_each_segment(
      spec.gate->weight, [&](const backend::WeightRows& segment, std::size_t output) {
        for (std::size_t first = 0; first < rows; first += piece)
          backend.matmul(left(first), segment, gate + first * width + output, width);
      }));
  if (spec.gate->bias) backend.add_bias(gate, width, rows, tools.tape.vector(*spec.gate->bias));
  return tools.pass.for_each_segment(
      spec.up.weight, [&](const backend::WeightRows& segment, std::size_t output) {
        for (std::size_t first = 0; first < rows; first += piece) {
          backend.matmul(left(first), segment, up, segment.rows);
          if (spec.up.bias) {
            backend::WeightVector bias = tools.tape.vector(*spec.up.bias);
            bias.data += output;
            bias.size = segment.rows;
            backend.add_bias(up, segment.rows, count(first), bias);
          }
          for (std::size_t row = 0; row < count(first); ++row) {
            float* inner = gate + (first + row) * width + output;
            backend.activate(spec.activation, inner, up + row * segment.rows, inner, segment.rows);
          }
        }
      });
}

}  // namespace

Result<void> feed_forward(const SweepTools& tools, const DenseSpec& spec, std::size_t rows,
                          Activations& activations) {
  float* inner = activations.gate.as<float>();  // what goes into `down`
  if (spec.gate && activations.feed_forward_rows < rows) {
    OLLM_TRY_VOID(gate_in_pieces(tools, spec, rows, activations));
  } else {
    const backend::LeftOperand input = tools.backend.prepare_left(
        activations.normed.as<float>(), spec.up.in, rows, spec.up.in, activations.left.data());
    if (spec.gate) {
      float* up = activations.up.as<float>();
      OLLM_TRY_VOID(linear(tools, *spec.gate, input, inner, spec.gate->out));
      OLLM_TRY_VOID(linear(tools, spec.up, input, up, spec.up.out));
      tools.backend.activate(spec.activation, inner, up, inner, rows * spec.up.out);
    } else {
      OLLM_TRY_VOID(linear(tools, spec.up, input, inner, spec.up.out));
      tools.backend.activate(spec.activation, inner, nullptr, inner, rows * spec.up.out);
    }
  }
  const backend::LeftOperand right =
      tools.backend.prepare_left(inner, spec.down.in, rows, spec.down.in, activations.left.data());
  return linear(tools, spec.down, right, activations.normed.as<float>(), spec.down.out);
}

}  // namespace ollm::models
