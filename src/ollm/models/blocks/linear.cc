#include "ollm/models/blocks/linear.h"

namespace ollm::models {

Result<void> linear(const SweepTools& tools, const LinearSpec& spec, const backend::LeftOperand& x,
                    float* out, std::size_t out_stride) {
  OLLM_TRY_VOID(tools.pass.for_each_segment(
      spec.weight, [&](const backend::WeightRows& rows, std::size_t first_row) {
        tools.backend.matmul(x, rows, out + first_row, out_stride);
      }));
  if (spec.bias) tools.backend.add_bias(out, out_stride, x.rows, tools.tape.vector(*spec.bias));
  return {};
}

void norm(const SweepTools& tools, const NormSpec& spec, const float* x, float* out,
          std::size_t rows) {
  const backend::WeightVector weight = tools.tape.vector(spec.weight);
  if (spec.kind == NormKind::rms) {
    tools.backend.rms_norm(x, weight, spec.eps, out, rows);
    return;
  }
  const backend::WeightVector bias =
      spec.bias ? tools.tape.vector(*spec.bias) : backend::WeightVector{};
  tools.backend.layer_norm(x, weight, bias, spec.eps, out, rows);
}

}  // namespace ollm::models
