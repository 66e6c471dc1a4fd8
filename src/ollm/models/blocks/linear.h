// A linear layer over the tape: consumes the segments of its weight as they come.
#pragma once

#include "ollm/backend/backend.h"
#include "ollm/models/composition.h"
#include "ollm/weights/tape.h"

namespace ollm::models {

/// What every block computes with, in one sweep.
struct SweepTools {
  backend::Backend& backend;
  const weights::Tape& tape;
  weights::TapePass& pass;
};

/// out[r] = x[r] W^T + b. out [rows, spec.out] f32, rows `out_stride` floats apart.
/// Errors: those of weights::TapePass.
Result<void> linear(const SweepTools& tools, const LinearSpec& spec, const backend::LeftOperand& x,
                    float* out, std::size_t out_stride);

/// out[r] = norm(x[r]); x, out [rows, size] packed, may be the same memory.
void norm(const SweepTools& tools, const NormSpec& spec, const float* x, float* out,
          std::size_t rows);

}  // namespace ollm::models
