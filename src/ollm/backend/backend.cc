// Which tables this machine can run, and the backend made from one.
// Leaves to others: what a table computes (cpu/, reference/) and who chooses (plan/).
#include "ollm/backend/backend.h"

#include <cpuid.h>
#include <fmt/format.h>

#include <array>
#include <cstring>
#include <string>
#include <string_view>

#include "ollm/backend/cpu/cpu_backend.h"
#include "ollm/backend/reference/reference_backend.h"

namespace ollm::backend {
namespace {

constexpr Isa kTables[] = {Isa::scalar, Isa::avx2, Isa::avx512, Isa::avx512_bf16};

// __builtin_cpu_supports asks the CPU and, by xgetbv, whether the system saves its registers.
bool cpu_runs(Isa isa) {
  __builtin_cpu_init();
  switch (isa) {
    case Isa::reference:
    case Isa::scalar:
      return true;
    case Isa::avx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
             __builtin_cpu_supports("f16c");
    case Isa::avx512:
      return cpu_runs(Isa::avx2) && __builtin_cpu_supports("avx512f") &&
             __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512vl");
    case Isa::avx512_bf16:
      return cpu_runs(Isa::avx512) && __builtin_cpu_supports("avx512bf16");
  }
  return false;
}

struct Supported {
  std::array<Isa, std::size(kTables)> isas = {};
  std::size_t count = 0;

  Supported() {
    for (const Isa isa : kTables)
      if (cpu_runs(isa)) isas[count++] = isa;
  }
};

template <typename Isas>
std::string names_of(const Isas& isas) {
  std::string names;
  for (const Isa isa : isas) {
    if (!names.empty()) names += ", ";
    names += to_string(isa);
  }
  return names;
}

Error lacking(Isa isa) {
  return fail(ErrorKind::unsupported, fmt::format("this machine lacks {}: it has {}",
                                                  to_string(isa), names_of(supported_isas())));
}

}  // namespace

std::span<const Isa> supported_isas() {
  static const Supported supported;
  return {supported.isas.data(), supported.count};
}

CpuVendor cpu_vendor() {
  unsigned highest = 0;
  std::array<unsigned, 3> words{};
  if (__get_cpuid(0, &highest, &words[0], &words[2], &words[1]) == 0) return CpuVendor::other;
  std::array<char, sizeof words> name{};
  std::memcpy(name.data(), words.data(), sizeof words);
  const std::string_view vendor(name.data(), name.size());
  if (vendor == "AuthenticAMD") return CpuVendor::amd;
  if (vendor == "GenuineIntel") return CpuVendor::intel;
  return CpuVendor::other;
}

Isa best_isa(std::span<const Isa> isas, ComputeMode mode, CpuVendor vendor) {
  Isa best = Isa::scalar;
  for (const Isa isa : isas) {
    // Without a product of bf16 the last table is avx512 again; name the one that says what runs.
    const bool worth_it = mode == ComputeMode::bf16 && vendor == CpuVendor::amd;
    if (isa == Isa::avx512_bf16 && !worth_it) continue;
    best = isa;
  }
  return best;
}

Isa best_isa(ComputeMode mode) { return best_isa(supported_isas(), mode, cpu_vendor()); }

Result<Isa> parse_isa(std::string_view name) {
  if (name == to_string(Isa::reference)) return Isa::reference;  // for tests; not listed
  for (const Isa isa : kTables) {
    if (name != to_string(isa)) continue;
    if (!cpu_runs(isa)) return lacking(isa);
    return isa;
  }
  return fail(
      ErrorKind::invalid_argument,
      fmt::format("unknown instruction set \"{}\": expected one of {}", name, names_of(kTables)));
}

Result<std::unique_ptr<Backend>> make_backend(const Options& options, ThreadPool& pool) {
  if (!cpu_runs(options.isa)) return lacking(options.isa);
  if (options.isa == Isa::reference)
    return std::unique_ptr<Backend>(std::make_unique<ReferenceBackend>(options.compute));
  return CpuBackend::make(options, pool);
}

}  // namespace ollm::backend
