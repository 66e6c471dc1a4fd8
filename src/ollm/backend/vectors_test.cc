// Norms, sums, activations, rotation and widening of every table: against the reference, the same
// bits from every table, and no byte read beyond a vector of weights.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "ollm/backend/kernel_fixture.h"

namespace ollm::backend {
namespace {

const std::size_t kSizes[] = {1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 513};

// What one kernel makes of `size` elements a row, 3 rows, on a backend.
using Run = std::function<std::vector<float>(Backend&, std::size_t size, DType dtype)>;

struct Named {
  const char* name;
  Run run;
  double tolerance;  // of values of size 1
};

constexpr std::size_t kRows = 3;

std::vector<float> with_activation(Backend& backend, std::size_t size, Activation activation,
                                   bool up) {
  const std::vector<float> gate = random_floats(size, 1, 3);
  const std::vector<float> factor = random_floats(size, 2);
  std::vector<float> out(size);
  backend.activate(activation, gate.data(), up ? factor.data() : nullptr, out.data(), size);
  return out;
}

std::vector<float> rotated(Backend& backend, std::size_t size, bool interleaved) {
  const std::size_t pairs = (size + 1) / 2;
  const std::size_t head_size = 2 * pairs + 3;  // some elements are not rotated
  std::vector<std::uint32_t> positions = {0, 7, 100'003};
  std::vector<float> frequencies;
  for (std::size_t i = 0; i < pairs; ++i)
    frequencies.push_back(std::pow(10000.0f, -static_cast<float>(i) / static_cast<float>(pairs)));
  std::vector<float> cos(kRows * pairs);
  std::vector<float> sin(kRows * pairs);
  backend.rotary_table(positions.data(), kRows, frequencies.data(), pairs, 1.5f, cos.data(),
                       sin.data());
  std::vector<float> x = random_floats(kRows * 2 * head_size, 3);
  backend.rotate(x.data(), 2 * head_size, kRows, 2, head_size, cos.data(), sin.data(), pairs,
                 interleaved);
  return x;
}

// A vector as the tape holds it, up to the end of its page: a read beyond it would end the test.
class GuardedVector {
 public:
  GuardedVector(std::size_t size, unsigned seed)
      : bytes_(weight_bytes(random_floats(size, seed), DType::f32)), size_(size) {}
  WeightVector view() const { return {reinterpret_cast<const float*>(bytes_.data()), size_}; }

 private:
  GuardedBytes bytes_;
  std::size_t size_;
};

const Named kKernels[] = {
    {"rms_norm",
     [](Backend& b, std::size_t size, DType) {
       const GuardedVector weight(size, 1);
       std::vector<float> x = random_floats(kRows * size, 2);
       b.rms_norm(x.data(), weight.view(), 1e-5f, x.data(), kRows);
       return x;
     },
     5e-5},
    {"layer_norm",
     [](Backend& b, std::size_t size, DType) {
       const GuardedVector weight(size, 1), bias(size, 3);
       std::vector<float> x = random_floats(kRows * size, 2);
       b.layer_norm(x.data(), weight.view(), bias.view(), 1e-5f, x.data(), kRows);
       return x;
     },
     5e-5},
    {"layer_norm without bias",
     [](Backend& b, std::size_t size, DType) {
       const GuardedVector weight(size, 1);
       const std::vector<float> x = random_floats(kRows * size, 2);
       std::vector<float> out(x.size());
       b.layer_norm(x.data(), weight.view(), {}, 1e-5f, out.data(), kRows);
       return out;
     },
     5e-5},
    {"add_bias",
     [](Backend& b, std::size_t size, DType) {
       const GuardedVector bias(size, 1);
       std::vector<float> x = random_floats(kRows * (size + 2), 2);
       b.add_bias(x.data(), size + 2, kRows, bias.view());
       return x;
     },
     1e-6},
    {"widen",
     [](Backend& b, std::size_t size, DType dtype) {
       const GuardedBytes rows(weight_bytes(random_floats(kRows * size, 1), dtype));
       std::vector<float> out(kRows * size);
       b.widen({rows.data(), *plain_format(dtype), kRows, size}, out.data());
       return out;
     },
     0},
    {"add",
     [](Backend& b, std::size_t size, DType) {
       std::vector<float> x = random_floats(size, 1);
       const std::vector<float> y = random_floats(size, 2);
       b.add(x.data(), y.data(), 0.37f, size);
       b.add(x.data(), y.data(), 1, size);
       return x;
     },
     1e-6},
    {"add_weighted",
     [](Backend& b, std::size_t size, DType) {
       const std::uint32_t rows[] = {4, 0, 2};
       const float weights[] = {0.37f, -1, 0.01f};
       std::vector<float> out = random_floats(5 * (size + 2), 1);
       const std::vector<float> x = random_floats(kRows * size, 2);
       b.add_weighted(out.data(), size + 2, rows, weights, x.data(), kRows, size);
       return out;
     },
     1e-6},
    {"multiply_rows",
     [](Backend& b, std::size_t size, DType) {
       const float factors[] = {0.37f, -1, 0.01f};
       std::vector<float> x = random_floats(kRows * size, 1);
       b.multiply_rows(x.data(), kRows, size, factors);
       return x;
     },
     0},
    {"scale",
     [](Backend& b, std::size_t size, DType) {
       std::vector<float> x = random_floats(size, 1);
       b.scale(x.data(), 0.37f, size);
       return x;
     },
     0},
    {"divide",
     [](Backend& b, std::size_t size, DType) {
       std::vector<float> x = random_floats(size, 1);
       b.divide(x.data(), 0.37f, size);
       return x;
     },
     0},
    {"soft_cap",
     [](Backend& b, std::size_t size, DType) {
       std::vector<float> x = random_floats(size, 1, 20);
       b.soft_cap(x.data(), 30, size);
       return x;
     },
     2e-5},
    {"silu",
     [](Backend& b, std::size_t size, DType) {
       return with_activation(b, size, Activation::silu, true);
     },
     2e-5},
    {"gelu",
     [](Backend& b, std::size_t size, DType) {
       return with_activation(b, size, Activation::gelu, true);
     },
     2e-5},
    {"gelu_tanh",
     [](Backend& b, std::size_t size, DType) {
       return with_activation(b, size, Activation::gelu_tanh, false);
     },
     2e-5},
    {"relu",
     [](Backend& b, std::size_t size, DType) {
       return with_activation(b, size, Activation::relu, true);
     },
     1e-5},
    {"relu_squared",
     [](Backend& b, std::size_t size, DType) {
       return with_activation(b, size, Activation::relu_squared, true);
     },
     1e-4},
    {"sigmoid",
     [](Backend& b, std::size_t size, DType) {
       return with_activation(b, size, Activation::sigmoid, true);
     },
     5e-6},
    {"clamped_swiglu",
     [](Backend& b, std::size_t size, DType) {
       const std::vector<float> gate_up = random_floats(2 * size, 1, 5);
       std::vector<float> out(size);
       b.clamped_swiglu(gate_up.data(), 1.702f, 7, out.data(), size);
       return out;
     },
     2e-5},
    {"rotate halves", [](Backend& b, std::size_t size, DType) { return rotated(b, size, false); },
     1e-5},
    {"rotate interleaved",
     [](Backend& b, std::size_t size, DType) { return rotated(b, size, true); }, 1e-5},
};

TEST(Vectors, AgreeWithTheReference) {
  ThreadPool pool(2);
  const auto reference = backend_of(Isa::reference, ComputeMode::f32, pool);
  for (const Isa isa : supported_isas()) {
    const auto backend = backend_of(isa, ComputeMode::f32, pool);
    for (const Named& kernel : kKernels) {
      for (const std::size_t size : kSizes) {
        for (const DType dtype : kWeightDTypes) {
          SCOPED_TRACE(std::string(kernel.name) + ", " + std::to_string(size));
          const std::vector<float> truth = kernel.run(*reference, size, dtype);
          const std::vector<float> got = kernel.run(*backend, size, dtype);
          ASSERT_EQ(truth.size(), got.size());
          for (std::size_t i = 0; i < got.size(); ++i)
            ASSERT_NEAR(got[i], truth[i], kernel.tolerance) << to_string(isa) << ", " << i;
        }
      }
    }
  }
}

TEST(Vectors, EveryTableGivesTheSameBits) {
  ThreadPool pool(1);
  const auto scalar = backend_of(Isa::scalar, ComputeMode::f32, pool);
  for (const Isa isa : supported_isas()) {
    const auto backend = backend_of(isa, ComputeMode::f32, pool);
    for (const Named& kernel : kKernels)
      for (const std::size_t size : kSizes)
        for (const DType dtype : kWeightDTypes)
          ASSERT_TRUE(
              same_bits(kernel.run(*backend, size, dtype), kernel.run(*scalar, size, dtype)))
              << kernel.name << ", " << size << ", " << to_string(isa);
  }
}

TEST(Vectors, BitsDoNotDependOnThreads) {
  ThreadPool one(1);
  ThreadPool three(3);
  for (const Isa isa : supported_isas()) {
    const auto alone = backend_of(isa, ComputeMode::f32, one);
    const auto together = backend_of(isa, ComputeMode::f32, three);
    for (const Named& kernel : kKernels)
      ASSERT_TRUE(same_bits(kernel.run(*alone, 300'001, DType::bf16),
                            kernel.run(*together, 300'001, DType::bf16)))
          << kernel.name << ", " << to_string(isa);
  }
}

TEST(Vectors, BitsDoNotDependOnTheAlignmentOfVectors) {
  ThreadPool pool(1);
  for (const Isa isa : supported_isas()) {
    const auto backend = backend_of(isa, ComputeMode::f32, pool);
    const std::vector<float> x = random_floats(77, 1);
    const std::vector<float> values = random_floats(77, 2);
    std::vector<float> expected;
    for (std::size_t offset = 0; offset < 16; ++offset) {
      std::vector<float> held(offset + values.size());
      std::copy(values.begin(), values.end(), held.begin() + static_cast<std::ptrdiff_t>(offset));
      const WeightVector vector = {held.data() + offset, values.size()};
      std::vector<float> out(77);
      backend->rms_norm(x.data(), vector, 1e-6f, out.data(), 1);
      backend->layer_norm(out.data(), vector, vector, 1e-6f, out.data(), 1);
      backend->add_bias(out.data(), 77, 1, vector);
      if (offset == 0) expected = out;
      ASSERT_TRUE(same_bits(out, expected)) << offset;
    }
  }
}

// gpt-oss's constants; the values are torch 2.15's, by GptOssExperts._apply_gate in f32.
TEST(Vectors, ClampedSwigluCutsBothSidesOfUpAndOneOfTheGate) {
  ThreadPool pool(1);
  const float nan = std::nanf("");
  const std::vector<float> gate_up = {1, 2, 100, 100, -100, 3, 2, -50, 0, -1, nan, 1, 1, nan, 7, 7};
  const std::vector<float> truth = {2.53738737f, 55.9996262f, -0.0f, -11.6139517f,
                                    0,           nan,         nan,   55.9996262f};
  for (const Isa isa : tables_and_reference()) {
    const auto backend = backend_of(isa, ComputeMode::f32, pool);
    std::vector<float> out(8);
    backend->clamped_swiglu(gate_up.data(), 1.702f, 7, out.data(), 8);
    for (std::size_t i = 0; i < 8; ++i) {
      if (std::isnan(truth[i]))
        EXPECT_TRUE(std::isnan(out[i])) << to_string(isa) << ", " << i;
      else
        EXPECT_NEAR(out[i], truth[i], 1e-6f * std::abs(truth[i])) << to_string(isa) << ", " << i;
    }
  }
}

// A reciprocal that is multiplied with rounds twice, which is not the quotient for many values.
TEST(Vectors, DivideGivesTheNearestFloatToTheQuotient) {
  ThreadPool pool(2);
  const std::vector<float> x = random_floats(10'003, 1, 30);
  for (const Isa isa : tables_and_reference()) {
    const auto backend = backend_of(isa, ComputeMode::f32, pool);
    for (const float divisor : {13.0f, 8.0f, 0.1f, -3.0f, 1e-30f, 1e30f}) {
      std::vector<float> got = x;
      std::vector<float> scaled = x;
      backend->divide(got.data(), divisor, got.size());
      backend->scale(scaled.data(), 1.0f / divisor, scaled.size());
      // A double has more than twice the bits of a float, so its quotient rounds to the right one.
      std::vector<float> truth;
      for (const float value : x)
        truth.push_back(
            static_cast<float>(static_cast<double>(value) / static_cast<double>(divisor)));
      EXPECT_TRUE(same_bits(got, truth)) << to_string(isa) << ", " << divisor;
      EXPECT_EQ(same_bits(scaled, truth), divisor == 8.0f) << to_string(isa) << ", " << divisor;
    }
  }
}

// Widening is exact for every value of the 16-bit types, denormals and infinities included.
TEST(Vectors, WidenIsExactForEvery16BitValue) {
  ThreadPool pool(1);
  std::vector<std::byte> all(2 * 65536);
  for (std::size_t i = 0; i < 65536; ++i) {
    const auto half = static_cast<std::uint16_t>(i);
    std::memcpy(all.data() + 2 * i, &half, 2);
  }
  for (const Isa isa : supported_isas()) {
    const auto backend = backend_of(isa, ComputeMode::f32, pool);
    for (const DType dtype : {DType::f16, DType::bf16}) {
      std::vector<float> out(65536);
      backend->widen({all.data(), *plain_format(dtype), 1, 65536}, out.data());
      for (std::size_t i = 0; i < 65536; ++i) {
        const auto half = static_cast<std::uint16_t>(i);
        const float truth = dtype == DType::f16 ? f16_to_f32(half) : bf16_to_f32(half);
        if (std::isnan(truth))
          ASSERT_TRUE(std::isnan(out[i])) << i;
        else
          ASSERT_EQ(std::memcmp(&out[i], &truth, 4), 0) << to_string(isa) << ", " << i;
      }
    }
  }
}

}  // namespace
}  // namespace ollm::backend
