// The table `avx2`: AVX2, FMA and F16C.
// Leaves to others: the bodies (*.inc), written once for all tables.
//
// Nothing but intrinsics and plain data may be included here: an inline function compiled with
// these instructions could be the copy that the linker keeps for all (ctest -R isa_symbols).
#include <immintrin.h>

#include "ollm/backend/cpu/kernels.h"

namespace ollm::backend::cpu {
namespace {

#include "ollm/backend/cpu/vec_avx2.inc"
//
#include "ollm/backend/cpu/math.inc"
#include "ollm/backend/cpu/weights.inc"
//
#include "ollm/backend/cpu/elementwise.inc"
#include "ollm/backend/cpu/norms.inc"
//
#include "ollm/backend/cpu/operands.inc"
//
#include "ollm/backend/cpu/matmul.inc"
//
#include "ollm/backend/cpu/in_by_out.inc"
//
#include "ollm/backend/cpu/attention.inc"
#include "ollm/backend/cpu/kv_codes.inc"
//
#include "ollm/backend/cpu/delta_net.inc"
//
#include "ollm/backend/cpu/table.inc"

}  // namespace

constinit const Kernels kAvx2Kernels = {
    table(mode_f32<AttendF32>(),
          mode_bf16<LeftOddEven, Bf16OddEven, OddEven<F32Weights>, OddEven<F16Weights>, E2m1OddEven,
                    AcrossOddEven<Bf16Weights>, AcrossOddEven<F32Weights>,
                    AcrossOddEven<F16Weights>, AttendOddEven>())};

}  // namespace ollm::backend::cpu
