// Names of tables and modes, what this machine supports, and the mode of the calling thread.
#include "ollm/backend/backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cfenv>

#include "ollm/backend/kernel_fixture.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace ollm::backend {
namespace {

TEST(Isas, ScalarIsAlwaysSupportedAndFirst) {
  ASSERT_FALSE(supported_isas().empty());
  EXPECT_EQ(supported_isas().front(), Isa::scalar);
}

TEST(Isas, ReferenceIsNotListed) {
  EXPECT_EQ(std::ranges::count(supported_isas(), Isa::reference), 0);
  EXPECT_EQ(*parse_isa("reference"), Isa::reference);
}

TEST(Isas, EverySupportedNameParses) {
  for (const Isa isa : supported_isas()) EXPECT_EQ(*parse_isa(to_string(isa)), isa);
}

TEST(Isas, UnknownNameIsInvalidAndNamesThem) {
  const auto parsed = parse_isa("sse9");
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.error().kind, ErrorKind::invalid_argument);
  EXPECT_THAT(parsed.error().message, ::testing::HasSubstr("scalar, avx2, avx512, avx512-bf16"));
}

TEST(Isas, ALackingTableIsUnsupportedAndSaysWhatThereIs) {
  for (const Isa isa : {Isa::avx2, Isa::avx512, Isa::avx512_bf16}) {
    if (std::ranges::count(supported_isas(), isa) != 0) continue;
    const auto parsed = parse_isa(to_string(isa));
    ASSERT_FALSE(parsed.ok());
    EXPECT_EQ(parsed.error().kind, ErrorKind::unsupported);
    EXPECT_THAT(parsed.error().message, ::testing::HasSubstr("scalar"));
    ThreadPool pool(1);
    const auto made = make_backend({isa, ComputeMode::f32}, pool);
    ASSERT_FALSE(made.ok());
    EXPECT_EQ(made.error().kind, ErrorKind::unsupported);
    return;
  }
  GTEST_SKIP() << "skipped: this machine has every table";
}

TEST(Isas, BestIsSupported) {
  for (const ComputeMode mode : kModes)
    EXPECT_EQ(std::ranges::count(supported_isas(), best_isa(mode)), 1);
  EXPECT_NE(best_isa(ComputeMode::f32), Isa::avx512_bf16);
}

TEST(Options, NumericClassDiffersForVdpbf16psInBf16ModeOnly) {
  EXPECT_EQ(numeric_class(Isa::scalar, ComputeMode::bf16), NumericClass::fma16);
  EXPECT_EQ(numeric_class(Isa::avx512, ComputeMode::bf16), NumericClass::fma16);
  EXPECT_EQ(numeric_class(Isa::avx512_bf16, ComputeMode::f32), NumericClass::fma16);
  EXPECT_EQ(numeric_class(Isa::avx512_bf16, ComputeMode::bf16), NumericClass::vdpbf16ps);
  EXPECT_EQ(numeric_class(Isa::reference, ComputeMode::f32), NumericClass::reference);
}

TEST(Options, AreSpeltAsOnTheCommandLine) {
  EXPECT_EQ(to_string(ComputeMode::f32), "f32");
  EXPECT_EQ(to_string(ComputeMode::bf16), "bf16");
  EXPECT_EQ(to_string(Isa::avx512_bf16), "avx512-bf16");
  EXPECT_EQ(to_string(NumericClass::fma16), "fma16");
  EXPECT_EQ(to_string(NumericClass::vdpbf16ps), "vdpbf16ps");
}

TEST(Backends, SayWhatTheyAre) {
  ThreadPool pool(1);
  for (const ComputeMode mode : kModes) {
    for (const Isa isa : supported_isas()) {
      const auto backend = backend_of(isa, mode, pool);
      EXPECT_EQ(backend->options().isa, isa);
      EXPECT_EQ(backend->options().compute, mode);
    }
    EXPECT_EQ(backend_of(Isa::reference, mode, pool)->numeric_class(), NumericClass::reference);
  }
}

#if defined(__x86_64__)
// A caller that rounds upwards gets the same bits, and its mode back.
TEST(Backends, NeitherUseNorChangeTheCallersMode) {
  ThreadPool pool(2);
  for (const ComputeMode mode : kModes) {
    for (const Isa isa : tables_and_reference()) {
      const auto backend = backend_of(isa, mode, pool);
      for (const std::size_t n : {std::size_t{64}, std::size_t{1} << 20}) {
        const std::vector<float> y = random_floats(n, 3);
        std::vector<float> expected = random_floats(n, 4);
        std::vector<float> got = expected;
        backend->add(expected.data(), y.data(), 0.3f, n);
        std::fesetround(FE_UPWARD);
        const unsigned before = _mm_getcsr();
        backend->add(got.data(), y.data(), 0.3f, n);
        const unsigned after = _mm_getcsr();
        std::fesetround(FE_TONEAREST);
        EXPECT_EQ(before & 0xffc0u, after & 0xffc0u) << name_of(isa, mode);
        EXPECT_TRUE(same_bits(expected, got)) << name_of(isa, mode);
      }
    }
  }
}
#endif

}  // namespace
}  // namespace ollm::backend
