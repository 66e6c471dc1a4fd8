#include "ollm/models/blocks/feed_forward.h"

namespace ollm::models {

Result<void> feed_forward(const SweepTools& tools, const FeedForwardSpec& spec, std::size_t rows,
                          Activations& activations) {
  float* up = activations.up.as<float>();
  float* inner = up;  // what goes into `down`
  const backend::LeftOperand input = tools.backend.prepare_left(
      activations.normed.as<float>(), spec.up.in, rows, spec.up.in, activations.left.data());
  if (spec.gate) {
    inner = activations.gate.as<float>();
    OLLM_TRY_VOID(linear(tools, *spec.gate, input, inner, spec.gate->out));
    OLLM_TRY_VOID(linear(tools, spec.up, input, up, spec.up.out));
    tools.backend.activate(spec.activation, inner, up, inner, rows * spec.up.out);
  } else {
    OLLM_TRY_VOID(linear(tools, spec.up, input, up, spec.up.out));
    tools.backend.activate(spec.activation, up, nullptr, up, rows * spec.up.out);
  }
  const backend::LeftOperand right =
      tools.backend.prepare_left(inner, spec.down.in, rows, spec.down.in, activations.left.data());
  return linear(tools, spec.down, right, activations.normed.as<float>(), spec.down.out);
}

}  // namespace ollm::models
