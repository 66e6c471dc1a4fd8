// Which device computes, with which instructions and which rounding: what the plan chooses.
// Leaves to others: how it is chosen (plan/choose_table.h) and what is computed (backend.h).
#pragma once

#include <cstddef>
#include <string_view>

namespace ollm::backend {

/// What is rounded where (docs/decisions/same-bits.md).
///   bf16  the left operand of every matrix product, and q, k, v and p in attention, are rounded to
///         bf16; accumulators, norms, residuals and softmax are f32; KV is bf16
///   f32   nothing is rounded; KV is f32
enum class ComputeMode { f32, bf16 };

/// The table of kernels. `reference` is plain loops with double sums: the truth that tests compare
/// with, slow, its bits are its own.
enum class Isa { reference, scalar, avx2, avx512, avx512_bf16 };

/// Tables of one class give the same bits. `vdpbf16ps` is a class of its own in bf16 mode only.
enum class NumericClass { reference, fma16, vdpbf16ps };

/// "f32", "bf16".
std::string_view to_string(ComputeMode mode);
/// As on the command line: "scalar", "avx2", "avx512", "avx512-bf16"; "reference".
std::string_view to_string(Isa isa);
std::string_view to_string(NumericClass numeric_class);

NumericClass numeric_class(Isa isa, ComputeMode mode);

struct Options {
  Isa isa = Isa::scalar;
  ComputeMode compute = ComputeMode::f32;
};

}  // namespace ollm::backend
