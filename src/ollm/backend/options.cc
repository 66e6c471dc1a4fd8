// How compute modes, tables and numeric classes are spelt.
// Leaves to others: what this machine can run (backend.cc).
#include "ollm/backend/options.h"

namespace ollm::backend {

std::string_view to_string(ComputeMode mode) {
  switch (mode) {
    case ComputeMode::f32:
      return "f32";
    case ComputeMode::bf16:
      return "bf16";
  }
  return "?";
}

std::string_view to_string(Isa isa) {
  switch (isa) {
    case Isa::reference:
      return "reference";
    case Isa::scalar:
      return "scalar";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
    case Isa::avx512_bf16:
      return "avx512-bf16";
  }
  return "?";
}

std::string_view to_string(NumericClass numeric_class) {
  switch (numeric_class) {
    case NumericClass::reference:
      return "reference";
    case NumericClass::fma16:
      return "fma16";
    case NumericClass::vdpbf16ps:
      return "vdpbf16ps";
  }
  return "?";
}

NumericClass numeric_class(Isa isa, ComputeMode mode) {
  if (isa == Isa::reference) return NumericClass::reference;
  if (isa == Isa::avx512_bf16 && mode == ComputeMode::bf16) return NumericClass::vdpbf16ps;
  return NumericClass::fma16;
}

}  // namespace ollm::backend
