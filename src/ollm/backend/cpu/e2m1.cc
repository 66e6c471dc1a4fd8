// The tables through which kernels decode MXFP4: the values of all codes, for each scale.
// Leaves to others: the lookups (vec_*.inc).
#include "ollm/backend/cpu/kernels.h"
#include "ollm/tensor/float16.h"
#include "ollm/tensor/mxfp4.h"

namespace ollm::backend::cpu {
namespace {

constexpr E2m1Values values() {
  E2m1Values table = {};
  for (unsigned scale = 0; scale <= kLargestE8m0; ++scale)
    for (unsigned code = 0; code < 16; ++code)
      table.at[scale][code] = scaled_e2m1(code, static_cast<std::uint8_t>(scale));
  return table;
}

constexpr E2m1Halves halves() {
  E2m1Halves table = {};
  for (unsigned scale = 0; scale <= kLargestE8m0; ++scale)
    for (unsigned code = 0; code < 32; ++code)
      table.at[scale][code] = f32_to_bf16(scaled_e2m1(code, static_cast<std::uint8_t>(scale)));
  return table;
}

}  // namespace

constinit const E2m1Values kE2m1Values = values();
constinit const E2m1Halves kE2m1Halves = halves();

}  // namespace ollm::backend::cpu
