#include "ollm/plan/choose_table.h"

#include <fmt/format.h>

#include <optional>
#include <span>
#include <vector>

#include "ollm/backend/backend.h"

namespace ollm::plan {
namespace {

using backend::ComputeMode;
using backend::Isa;
using backend::NumericClass;

// Products of so many rows and more tell how fast prompts are; those of few wait for memory.
constexpr std::uint64_t kManyRows = 64;

// What another numeric class must gain: machines are a factor of about two apart, one way or the
// other, and what a busy machine measures must not turn the bits of its answers.
constexpr double kWorthAnotherClass = 1.25;

std::optional<machine::RowsRate> many_rows(const machine::Machine& machine,
                                           const backend::Options& table) {
  const machine::TableRates* rates = machine.profile ? machine.profile->find(table) : nullptr;
  if (rates == nullptr || rates->matmul.empty() || rates->matmul.back().rows < kManyRows)
    return std::nullopt;
  return rates->matmul.back();
}

std::string figure(Isa isa, const machine::RowsRate& rate) {
  return fmt::format("{} {:.0f} GFLOP/s", to_string(isa), rate.flops / 1e9);
}

}  // namespace

TableChoice choose_table(const machine::Machine& machine, ComputeMode mode) {
  std::vector<Isa> same_bits;
  bool has_own = false;  // avx512-bf16, whose bits are its own in this mode
  for (const Isa isa : machine.isas) {
    if (backend::numeric_class(isa, mode) == NumericClass::vdpbf16ps) has_own = true;
    // Where its bits are not its own, it is avx512 by another name.
    if (isa != Isa::avx512_bf16) same_bits.push_back(isa);
  }
  // Of one numeric class, whichever is faster: the widest, if nothing else was measured.
  TableChoice best{backend::best_isa(same_bits, mode, machine.cpu_vendor),
                   "the fastest table that this machine runs"};
  std::optional<machine::RowsRate> best_rate = many_rows(machine, {best.isa, mode});
  if (best_rate) {
    for (const Isa isa : same_bits) {
      const auto rate = many_rows(machine, {isa, mode});
      if (!rate || rate->rows != best_rate->rows || rate->flops <= best_rate->flops) continue;
      best.isa = isa;
      best_rate = rate;
    }
    best.because = fmt::format("the fastest measured with {} rows, {}: {}", best_rate->rows,
                               machine.profile->measured, figure(best.isa, *best_rate));
  }
  if (!has_own) return best;

  const auto own_rate = many_rows(machine, {Isa::avx512_bf16, mode});
  if (own_rate && best_rate) {
    const std::string figures =
        fmt::format("measured with {} rows, {}: {}, {}", own_rate->rows, machine.profile->measured,
                    figure(best.isa, *best_rate), figure(Isa::avx512_bf16, *own_rate));
    if (own_rate->flops > kWorthAnotherClass * best_rate->flops) return {Isa::avx512_bf16, figures};
    best.because = own_rate->flops > best_rate->flops
                       ? figures + ", which is not worth a numeric class of its own"
                       : figures;
    return best;
  }
  constexpr const char* kNotMeasured = "not measured (ollm doctor --measure would tell): ";
  if (backend::best_isa(machine.isas, mode, machine.cpu_vendor) == Isa::avx512_bf16)
    return {Isa::avx512_bf16,
            fmt::format("{}AMD's processors run vdpbf16ps at the full rate", kNotMeasured)};
  best.because = fmt::format(
      "{}{}", kNotMeasured,
      machine.cpu_vendor == backend::CpuVendor::intel
          ? "Intel's processors run avx512-bf16's products at half the rate of multiply-adds"
          : "a table whose bits are the same on every machine; avx512-bf16 may be faster or "
            "slower");
  return best;
}

}  // namespace ollm::plan
