#include "ollm/backend/numerics.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "ollm/base/check.h"

namespace ollm::backend {
namespace {

constexpr std::size_t kRows = 8;
constexpr std::size_t kOutputs = 32;

// xorshift64*, from Vigna, "An experimental exploration of Marsaglia's xorshift generators", 2016.
class Random {
 public:
  std::uint64_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545f4914f6cdd1dU;
  }

 private:
  std::uint64_t state_ = 0x9e3779b97f4a7c15U;
};

// Half of a float, which is a bf16: any sign and fraction, an exponent within `spread` around 0.
std::uint16_t any_bf16(Random& random, unsigned spread) {
  const std::uint64_t bits = random.next();
  const auto exponent = static_cast<unsigned>(127 - spread / 2 + (bits >> 32) % (spread + 1));
  return static_cast<std::uint16_t>((bits & 0x807fU) | (exponent << 7));
}

float widened(std::uint16_t half) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(half) << 16);
}

class Trial {
 public:
  Trial() : pool_(1), fused_(backend_of(Isa::avx512)), dot_(backend_of(Isa::avx512_bf16)) {}

  void multiply(std::size_t cols, unsigned spread, Vdpbf16psTrial& out) {
    std::vector<float> x(kRows * cols);
    for (float& value : x) value = widened(any_bf16(random_, spread));
    std::vector<std::uint16_t> w(kOutputs * cols);
    for (std::uint16_t& value : w) value = any_bf16(random_, spread);
    const std::vector<float> expected = product(*fused_, x, w, cols);
    const std::vector<float> found = product(*dot_, x, w, cols);
    for (std::size_t i = 0; i < found.size(); ++i) {
      ++out.products;
      // Sums that overflow both ways are no numbers; which ones, nobody asks.
      if (std::isnan(expected[i]) && std::isnan(found[i])) continue;
      if (std::memcmp(&expected[i], &found[i], sizeof(float)) != 0) ++out.differing;
    }
  }

 private:
  std::unique_ptr<Backend> backend_of(Isa isa) {
    auto made = make_backend({isa, ComputeMode::bf16}, pool_);
    OLLM_CHECK(made.ok());  // the caller looked
    return std::move(made).value();
  }

  static std::vector<float> product(Backend& backend, const std::vector<float>& x,
                                    const std::vector<std::uint16_t>& w, std::size_t cols) {
    constexpr std::size_t kAlignment = 64;
    std::vector<std::byte> storage(backend.left_bytes(kRows, cols) + kAlignment);
    const auto at = reinterpret_cast<std::uintptr_t>(storage.data());
    std::byte* const aligned = storage.data() + (kAlignment - at % kAlignment) % kAlignment;
    std::vector<float> out(kRows * kOutputs);
    backend.matmul(
        backend.prepare_left(x.data(), cols, kRows, cols, aligned),
        {reinterpret_cast<const std::byte*>(w.data()), {WeightElement::bf16}, kOutputs, cols},
        out.data(), kOutputs);
    return out;
  }

  ThreadPool pool_;
  std::unique_ptr<Backend> fused_, dot_;
  Random random_;
};

std::string_view name_of(CpuVendor vendor) {
  switch (vendor) {
    case CpuVendor::amd:
      return "amd";
    case CpuVendor::intel:
      return "intel";
    case CpuVendor::other:
      return "other";
  }
  return "other";
}

}  // namespace

Vdpbf16psTrial try_vdpbf16ps() {
  const std::span<const Isa> isas = supported_isas();
  Vdpbf16psTrial out;
  if (std::ranges::count(isas, Isa::avx512_bf16) == 0) return out;
  Trial trial;
  for (std::size_t cols = 32; cols <= 512; cols += 32) {
    // Values of one size, as weights and activations are; of sizes that cancel and round in every
    // place; and of sizes whose products and sums are denormal.
    for (const unsigned spread : {2U, 24U, 240U}) trial.multiply(cols, spread, out);
  }
  return out;
}

bool vdpbf16ps_is_as_documented() {
  static const bool documented = [] {
    const Vdpbf16psTrial trial = try_vdpbf16ps();
    return trial.products != 0 && trial.differing == 0;
  }();
  return documented;
}

std::string numeric_class_name(const Options& options) {
  const NumericClass of_table = numeric_class(options.isa, options.compute);
  if (of_table != NumericClass::vdpbf16ps) return std::string(to_string(of_table));
  if (vdpbf16ps_is_as_documented()) return std::string(to_string(NumericClass::fma16));
  return fmt::format("{} {}", to_string(of_table), name_of(cpu_vendor()));
}

}  // namespace ollm::backend
