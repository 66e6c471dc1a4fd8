// Reports whether this machine's vdpbf16ps computes as it is documented: two fused steps, the odd
// element first, denormals as zero. Fails on neither answer, as it is a numeric class of its own.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>

#include "ollm/backend/kernel_fixture.h"
#include "ollm/backend/numerics.h"

namespace ollm::backend {
namespace {

TEST(Vdpbf16ps, ReportsWhetherItIsAsDocumented) {
  if (std::ranges::count(supported_isas(), Isa::avx512_bf16) == 0)
    GTEST_SKIP() << "skipped: this machine lacks avx512-bf16";
  const Vdpbf16psTrial trial = try_vdpbf16ps();
  EXPECT_GT(trial.products, 10000u);
  EXPECT_EQ(vdpbf16ps_is_as_documented(), trial.differing == 0);
  std::printf("vdpbf16ps on this machine: %s (%zu of %zu dot products differ in bits)\n",
              trial.differing == 0 ? "as documented" : "not as documented", trial.differing,
              trial.products);
  RecordProperty("as_documented", trial.differing == 0 ? "yes" : "no");
}

TEST(Vdpbf16ps, IsADotProductInF32WhateverTheOrderInside) {
  if (std::ranges::count(supported_isas(), Isa::avx512_bf16) == 0)
    GTEST_SKIP() << "skipped: this machine lacks avx512-bf16";
  ThreadPool pool(1);
  const auto fused = backend_of(Isa::avx512, ComputeMode::bf16, pool);
  const auto dot = backend_of(Isa::avx512_bf16, ComputeMode::bf16, pool);
  for (unsigned seed = 0; seed < 20; ++seed) {
    const std::size_t cols = 32 + 32 * seed;
    const std::vector<float> x = random_floats(8 * cols, seed);
    const std::vector<std::byte> w = weight_bytes(random_floats(32 * cols, seed + 99), DType::bf16);
    std::vector<float> out[2];
    for (int i = 0; i < 2; ++i) {
      Backend& backend = i == 0 ? *fused : *dot;
      const AlignedBytes left(backend.left_bytes(8, cols));
      out[i].resize(8 * 32);
      backend.matmul(backend.prepare_left(x.data(), cols, 8, cols, left.get()),
                     {w.data(), {WeightElement::bf16}, 32, cols}, out[i].data(), 32);
    }
    for (std::size_t i = 0; i < out[0].size(); ++i)
      EXPECT_NEAR(out[0][i], out[1][i], 1e-5 * static_cast<double>(cols));
  }
}

TEST(NumericClassName, IsTheClassButForAnInstructionThatIsAsDocumented) {
  for (const Isa isa : {Isa::scalar, Isa::avx2, Isa::avx512}) {
    for (const ComputeMode mode : kModes) EXPECT_EQ(numeric_class_name({isa, mode}), "fma16");
  }
  EXPECT_EQ(numeric_class_name({Isa::avx512_bf16, ComputeMode::f32}), "fma16");
  EXPECT_EQ(numeric_class_name({Isa::reference, ComputeMode::f32}), "reference");
  const std::string dot = numeric_class_name({Isa::avx512_bf16, ComputeMode::bf16});
  if (vdpbf16ps_is_as_documented()) {
    EXPECT_EQ(dot, "fma16");
  } else {
    EXPECT_TRUE(dot.starts_with("vdpbf16ps ")) << dot;
  }
}

}  // namespace
}  // namespace ollm::backend
