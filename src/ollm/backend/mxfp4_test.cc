// Products with MXFP4 weights, and widening of them, of every table: each code and scale against
// its definition, and the bits that the dequantized matrix gives, whatever stands beside a row.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "ollm/backend/kernel_fixture.h"

namespace ollm::backend {
namespace {

constexpr double kValues[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
constexpr unsigned kScales = 253;  // those that are valid: 0 to 252

// The definition; below 2^-126 a bf16 of a checkpoint is a denormal.
double definition(unsigned code, unsigned scale) {
  const double size = std::ldexp(kValues[code % 8], static_cast<int>(scale) - 127);
  return code < 8 ? size : -size;
}

struct Matrix {
  std::size_t outputs, cols;
  std::vector<std::byte> codes, scales;
  std::vector<std::byte> bf16;  // dequantized

  WeightRows packed(std::size_t first = 0, std::size_t rows = SIZE_MAX) const {
    return {codes.data() + first * cols / 2, kMxfp4, std::min(rows, outputs - first), cols,
            scales.data() + first * cols / 32};
  }
  WeightRows dequantized() const { return {bf16.data(), {WeightElement::bf16}, outputs, cols}; }
};

// Random codes; random scales from `least` on, `count` of them.
Matrix matrix(std::size_t outputs, std::size_t cols, unsigned seed, unsigned least = 120,
              unsigned count = 10) {
  std::mt19937 random(seed);
  Matrix m = {outputs, cols, {}, {}, {}};
  std::vector<float> values;
  for (std::size_t block = 0; block < outputs * cols / 32; ++block) {
    const unsigned scale = least + static_cast<unsigned>(random() % count);
    m.scales.push_back(static_cast<std::byte>(scale));
    for (int i = 0; i < 16; ++i) {
      const auto pair = static_cast<unsigned>(random() % 256);
      m.codes.push_back(static_cast<std::byte>(pair));
      values.push_back(static_cast<float>(definition(pair % 16, scale)));
      values.push_back(static_cast<float>(definition(pair / 16, scale)));
    }
  }
  m.bf16 = weight_bytes(values, DType::bf16);
  return m;
}

// All codes with all scales: row s has the codes 0 to 15, twice, with scale s.
Matrix every_value() {
  Matrix m = {kScales, 32, {}, {}, {}};
  std::vector<float> values;
  for (unsigned scale = 0; scale < kScales; ++scale) {
    m.scales.push_back(static_cast<std::byte>(scale));
    for (unsigned i = 0; i < 32; ++i) {
      if (i % 2 == 0) m.codes.push_back(static_cast<std::byte>(i % 16 | (i % 16 + 1) << 4));
      values.push_back(static_cast<float>(definition(i % 16, scale)));
    }
  }
  m.bf16 = weight_bytes(values, DType::bf16);
  return m;
}

TEST(Mxfp4, EveryCodeWithEveryScaleIsItsDefinition) {
  ThreadPool pool(2);
  const Matrix m = every_value();
  for (const Isa isa : tables_and_reference()) {
    for (const ComputeMode mode : kModes) {
      SCOPED_TRACE(name_of(isa, mode));
      const auto backend = backend_of(isa, mode, pool);
      std::vector<float> widened(m.outputs * m.cols);
      backend->widen(m.packed(), widened.data());
      // Of each row, what stands in one column: the products with a left operand that is one there.
      std::vector<float> ones(std::size_t{32} * 32);
      for (std::size_t i = 0; i < 32; ++i) ones[i * 32 + i] = 1;
      const std::vector<float> products = product(*backend, ones, 32, m.packed());
      for (unsigned scale = 0; scale < kScales; ++scale) {
        for (unsigned i = 0; i < 32; ++i) {
          const double truth = definition(i % 16, scale);
          const double normal = std::abs(truth) < 0x1p-126 ? std::copysign(0.0, truth) : truth;
          const float got = widened[scale * 32 + i];
          ASSERT_EQ(static_cast<double>(got), normal) << scale << ", " << i;
          ASSERT_EQ(std::signbit(got), std::signbit(normal)) << scale << ", " << i;
          ASSERT_EQ(static_cast<double>(products[i * kScales + scale]), normal);
        }
      }
    }
  }
}

TEST(Mxfp4, ProductsHaveTheBitsOfTheDequantizedMatrix) {
  ThreadPool pool(2);
  for (const Isa isa : tables_and_reference()) {
    for (const ComputeMode mode : kModes) {
      SCOPED_TRACE(name_of(isa, mode));
      const auto backend = backend_of(isa, mode, pool);
      unsigned seed = 1;
      for (const std::size_t cols : {32, 64, 96, 256, 1056}) {
        for (const std::size_t rows : {1, 2, 3, 4, 5, 7, 8, 9, 17, 30, 49, 64}) {
          for (const LeftRounding rounding : {LeftRounding::as_mode, LeftRounding::none}) {
            const Matrix m = matrix(1 + (rows + cols / 32 * 5) % 37, cols, seed);
            const std::vector<float> x = random_floats(rows * cols, seed++);
            ASSERT_TRUE(same_bits(product(*backend, x, rows, m.packed(), rounding),
                                  product(*backend, x, rows, m.dequantized(), rounding)))
                << rows << " rows of " << cols;
          }
        }
      }
    }
  }
}

// Where weights are denormals of the checkpoint, and where sums are infinite or NaNs.
TEST(Mxfp4, ScalesAtTheEndsOfTheRangeGiveTheBitsOfTheDequantizedMatrix) {
  ThreadPool pool(2);
  struct Range {
    unsigned least, count;
  };
  for (const Isa isa : supported_isas()) {
    for (const ComputeMode mode : kModes) {
      SCOPED_TRACE(name_of(isa, mode));
      const auto backend = backend_of(isa, mode, pool);
      for (const Range range : {Range{0, 4}, Range{248, 5}, Range{0, kScales}}) {
        for (const std::size_t rows : {1, 5, 64}) {
          const Matrix m = matrix(40, 96, range.least + 7, range.least, range.count);
          const std::vector<float> x = random_floats(rows * 96, 3, 1e10f);
          ASSERT_TRUE(same_bits(product(*backend, x, rows, m.packed()),
                                product(*backend, x, rows, m.dequantized())))
              << rows << " rows from scale " << range.least;
        }
      }
    }
  }
}

TEST(Mxfp4, TablesOfOneClassGiveTheSameBits) {
  ThreadPool pool(2);
  for (const ComputeMode mode : kModes) {
    const auto scalar = backend_of(Isa::scalar, mode, pool);
    for (const Isa isa : supported_isas()) {
      if (numeric_class(isa, mode) != scalar->numeric_class()) continue;
      const auto backend = backend_of(isa, mode, pool);
      for (const std::size_t rows : {1, 7, 50}) {
        const Matrix m = matrix(19, 1056, 5);
        const std::vector<float> x = random_floats(rows * 1056, 6);
        ASSERT_TRUE(same_bits(product(*backend, x, rows, m.packed()),
                              product(*scalar, x, rows, m.packed())))
            << name_of(isa, mode) << ", " << rows;
      }
    }
  }
}

TEST(Mxfp4, BitsDependOnNoRowsBesideThreadsOrSegments) {
  constexpr std::size_t kRows = 52;
  constexpr std::size_t kCols = 544;
  constexpr std::size_t kOutputs = 203;
  ThreadPool one(1);
  ThreadPool three(3);
  const Matrix m = matrix(kOutputs, kCols, 8);
  const std::vector<float> x = random_floats(kRows * kCols, 9);
  for (const Isa isa : supported_isas()) {
    for (const ComputeMode mode : kModes) {
      SCOPED_TRACE(name_of(isa, mode));
      const auto alone = backend_of(isa, mode, one);
      const auto together = backend_of(isa, mode, three);
      const std::vector<float> expected = product(*alone, x, kRows, m.packed());
      ASSERT_TRUE(same_bits(expected, product(*together, x, kRows, m.packed())));
      std::size_t first = 0;
      for (const std::size_t rows : {1, 2, 11, 38}) {
        const auto from = static_cast<std::ptrdiff_t>(first * kCols);
        const std::vector<float> part(x.begin() + from,
                                      x.begin() + from + static_cast<std::ptrdiff_t>(rows * kCols));
        const auto row = expected.begin() + static_cast<std::ptrdiff_t>(first * kOutputs);
        ASSERT_TRUE(same_bits(product(*together, part, rows, m.packed()),
                              {row, row + static_cast<std::ptrdiff_t>(rows * kOutputs)}))
            << rows;
        first += rows;
      }
      const AlignedBytes left(alone->left_bytes(kRows, kCols));
      const LeftOperand prepared = alone->prepare_left(x.data(), kCols, kRows, kCols, left.get());
      std::vector<float> out(kRows * kOutputs);
      for (std::size_t output = 0; output < kOutputs; output += 58)
        alone->matmul(prepared, m.packed(output, 58), out.data() + output, kOutputs);
      ASSERT_TRUE(same_bits(expected, out));
    }
  }
}

TEST(Mxfp4, WeightsAndScalesStandAtAnyByteAndNoneBeyondIsRead) {
  ThreadPool pool(1);
  for (const Isa isa : supported_isas()) {
    for (const ComputeMode mode : kModes) {
      SCOPED_TRACE(name_of(isa, mode));
      const auto backend = backend_of(isa, mode, pool);
      for (const std::size_t cols : {32, 96, 160}) {
        for (const std::size_t rows : {1, 3, 25, 50}) {
          // An odd number of rows of an odd number of blocks: nothing begins at a round address.
          const Matrix m = matrix(5, cols, 11);
          const std::vector<float> x = random_floats(rows * cols, 12);
          const GuardedBytes codes(m.codes);
          const GuardedBytes scales(m.scales);
          const WeightRows guarded = {codes.data(), kMxfp4, 5, cols, scales.data()};
          EXPECT_TRUE(same_bits(product(*backend, x, rows, m.packed()),
                                product(*backend, x, rows, guarded)));
          std::vector<float> widened(5 * cols);
          std::vector<float> expected(5 * cols);
          backend->widen(guarded, widened.data());
          backend->widen(m.packed(), expected.data());
          EXPECT_TRUE(same_bits(widened, expected));
        }
      }
    }
  }
}

TEST(Mxfp4, WidensOnThreads) {
  ThreadPool pool(3);
  const Matrix m = matrix(700, 544, 13);
  for (const Isa isa : supported_isas()) {
    const auto backend = backend_of(isa, ComputeMode::f32, pool);
    std::vector<float> widened(m.outputs * m.cols);
    std::vector<float> expected(m.outputs * m.cols);
    backend->widen(m.packed(), widened.data());
    backend->widen(m.dequantized(), expected.data());
    EXPECT_TRUE(same_bits(widened, expected)) << to_string(isa);
  }
}

}  // namespace
}  // namespace ollm::backend
