#include "ollm/plan/choose_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ollm::plan {
namespace {

using backend::ComputeMode;
using backend::CpuVendor;
using backend::Isa;
using ::testing::HasSubstr;

constexpr Isa kAll[] = {Isa::scalar, Isa::avx2, Isa::avx512, Isa::avx512_bf16};

class ChooseTableTest : public ::testing::Test {
 protected:
  ChooseTableTest() { machine_.isas.assign(std::begin(kAll), std::end(kAll)); }

  void measured(Isa isa, ComputeMode mode, double gigaflops, std::uint64_t rows = 512) {
    if (!machine_.profile) {
      machine_.profile.emplace();
      machine_.profile->measured = "2026-11-24";
      machine_.profile->threads = 7;  // of whatever number of threads
    }
    machine::TableRates rates{isa, mode};
    rates.matmul = {{1, 1e9}, {rows, gigaflops * 1e9}};
    machine_.profile->tables.push_back(rates);
  }

  void expect(Isa isa, const char* words, ComputeMode mode = ComputeMode::bf16) {
    const TableChoice choice = choose_table(machine_, mode);
    EXPECT_EQ(to_string(choice.isa), to_string(isa)) << choice.because;
    EXPECT_THAT(choice.because, HasSubstr(words));
  }

  machine::Machine machine_;
};

TEST_F(ChooseTableTest, TheMeasuredFastestIsTaken) {
  measured(Isa::avx512, ComputeMode::bf16, 349);
  measured(Isa::avx512_bf16, ComputeMode::bf16, 171);
  machine_.cpu_vendor = CpuVendor::amd;  // what was measured counts, whoever made it
  expect(Isa::avx512,
         "measured with 512 rows, 2026-11-24: avx512 349 GFLOP/s, avx512-bf16 171 GFLOP/s");
}

TEST_F(ChooseTableTest, AndItIsTheOtherWayRoundOnOtherMachines) {
  measured(Isa::avx512, ComputeMode::bf16, 349);
  measured(Isa::avx512_bf16, ComputeMode::bf16, 700);
  machine_.cpu_vendor = CpuVendor::intel;
  expect(Isa::avx512_bf16, "avx512 349 GFLOP/s, avx512-bf16 700 GFLOP/s");
}

TEST_F(ChooseTableTest, ALittleIsNotWorthANumericClass) {
  measured(Isa::avx512, ComputeMode::bf16, 349);
  measured(Isa::avx512_bf16, ComputeMode::bf16, 349 * 1.2);
  expect(Isa::avx512, "not worth a numeric class of its own");
}

TEST_F(ChooseTableTest, OfOneClassTheFastestMeasuredIsTaken) {
  measured(Isa::scalar, ComputeMode::f32, 1, 16);
  measured(Isa::avx2, ComputeMode::f32, 210);
  measured(Isa::avx512, ComputeMode::f32, 200);
  expect(Isa::avx2, "the fastest measured with 512 rows, 2026-11-24: avx2 210", ComputeMode::f32);
  expect(Isa::avx512, "not measured");  // of the other mode nothing is known
}

TEST_F(ChooseTableTest, WithoutMeasuresTheProcessorTells) {
  machine_.cpu_vendor = CpuVendor::amd;
  expect(Isa::avx512_bf16, "AMD's processors run vdpbf16ps at the full rate");
  machine_.cpu_vendor = CpuVendor::intel;
  expect(Isa::avx512, "Intel's processors run avx512-bf16's products at half the rate");
  machine_.cpu_vendor = CpuVendor::other;
  expect(Isa::avx512, "the same on every machine");
  expect(Isa::avx512, "the fastest table that this machine runs", ComputeMode::f32);
  machine_.isas = {Isa::scalar, Isa::avx2};
  expect(Isa::avx2, "the fastest table that this machine runs");
  machine_.isas = {Isa::scalar};
  expect(Isa::scalar, "the fastest table that this machine runs");
  machine_.isas.clear();
  expect(Isa::scalar, "the fastest table that this machine runs");
}

// A profile of an older version, or one that a person cut: what it lacks is as if nothing was.
TEST_F(ChooseTableTest, HalfAProfileIsNoneForTheClass) {
  measured(Isa::avx512_bf16, ComputeMode::bf16, 171);
  measured(Isa::avx2, ComputeMode::bf16, 100);
  machine_.cpu_vendor = CpuVendor::amd;
  expect(Isa::avx512_bf16, "not measured");
  machine_.cpu_vendor = CpuVendor::intel;
  expect(Isa::avx512, "not measured");
  measured(Isa::avx512, ComputeMode::bf16, 349, 16);  // of few rows, where memory is waited for
  expect(Isa::avx512, "not measured");
}

TEST_F(ChooseTableTest, ThePlansRuleIsTheBackends) {
  for (const ComputeMode mode : {ComputeMode::f32, ComputeMode::bf16}) {
    for (const CpuVendor vendor : {CpuVendor::other, CpuVendor::amd, CpuVendor::intel}) {
      machine_.cpu_vendor = vendor;
      EXPECT_EQ(choose_table(machine_, mode).isa, backend::best_isa(machine_.isas, mode, vendor));
    }
  }
}

}  // namespace
}  // namespace ollm::plan
