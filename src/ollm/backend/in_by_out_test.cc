// Products with weights that are stored as [in, out], of every table: the bits of the transposed
// matrix, whatever stands beside a row and wherever the weights stand.
#include <gtest/gtest.h>

#include <algorithm>

#include "ollm/backend/kernel_fixture.h"

namespace ollm::backend {
namespace {

// One matrix in both layouts, in the bytes of a type.
struct Matrix {
  std::size_t outputs, cols;
  DType dtype;
  std::vector<std::byte> out_by_in, in_by_out;

  WeightRows rows() const { return {out_by_in.data(), *plain_format(dtype), outputs, cols}; }
  WeightRows transposed(const std::byte* at) const {
    WeightFormat format = *plain_format(dtype);
    format.layout = WeightLayout::in_by_out;
    return {at, format, outputs, cols};
  }
  WeightRows transposed() const { return transposed(in_by_out.data()); }
};

Matrix matrix(std::size_t outputs, std::size_t cols, DType dtype, unsigned seed) {
  const std::vector<float> values = random_floats(outputs * cols, seed);
  std::vector<float> turned(values.size());
  for (std::size_t j = 0; j < outputs; ++j)
    for (std::size_t i = 0; i < cols; ++i) turned[i * outputs + j] = values[j * cols + i];
  return {outputs, cols, dtype, weight_bytes(values, dtype), weight_bytes(turned, dtype)};
}

const std::size_t kCols[] = {1, 15, 17, 31, 32, 33, 64, 100, 513};
const std::size_t kRows[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 17, 30, 64};

TEST(InByOut, ProductsHaveTheBitsOfTheTransposedMatrix) {
  ThreadPool pool(2);
  for (const Isa isa : tables_and_reference()) {
    for (const ComputeMode mode : kModes) {
      SCOPED_TRACE(name_of(isa, mode));
      const auto backend = backend_of(isa, mode, pool);
      unsigned seed = 1;
      for (const DType dtype : kWeightDTypes) {
        for (const std::size_t cols : kCols) {
          for (const std::size_t rows : kRows) {
            const LeftRounding rounding =
                seed % 4 == 0 ? LeftRounding::none : LeftRounding::as_mode;
            const Matrix m = matrix(1 + (rows * 5 + cols) % 71, cols, dtype, seed);
            const std::vector<float> x = random_floats(rows * cols, seed++);
            ASSERT_TRUE(same_bits(product(*backend, x, rows, m.transposed(), rounding),
                                  product(*backend, x, rows, m.rows(), rounding)))
                << to_string(dtype) << ' ' << rows << 'x' << cols << 'x' << m.outputs;
          }
        }
      }
    }
  }
}

// More rows, columns and outputs than are computed at one time, in parts on threads.
TEST(InByOut, ProductsHaveTheBitsOfTheTransposedMatrixAcrossBlocks) {
  ThreadPool pool(3);
  struct Shape {
    std::size_t rows, cols, outputs;
  };
  for (const Isa isa : supported_isas()) {
    for (const ComputeMode mode : kModes) {
      SCOPED_TRACE(name_of(isa, mode));
      const auto backend = backend_of(isa, mode, pool);
      for (const Shape s : {Shape{1, 5000, 1229}, Shape{5, 1100, 1229}, Shape{25, 1100, 300},
                            Shape{210, 600, 150}}) {
        if (isa == Isa::scalar && s.rows > 25) continue;
        const Matrix m = matrix(s.outputs, s.cols, DType::bf16, 3);
        const std::vector<float> x = random_floats(s.rows * s.cols, 4);
        ASSERT_TRUE(same_bits(product(*backend, x, s.rows, m.transposed()),
                              product(*backend, x, s.rows, m.rows())))
            << s.rows << " rows";
      }
    }
  }
}

TEST(InByOut, WeightsStandAtAnyByteAndNoneBeyondIsRead) {
  ThreadPool pool(1);
  for (const Isa isa : supported_isas()) {
    for (const ComputeMode mode : kModes) {
      SCOPED_TRACE(name_of(isa, mode));
      const auto backend = backend_of(isa, mode, pool);
      for (const DType dtype : kWeightDTypes) {
        for (const std::size_t cols : {1, 33, 96}) {
          for (const std::size_t rows : {1, 3, 50}) {
            const Matrix m = matrix(37, cols, dtype, 5);
            const std::vector<float> x = random_floats(rows * cols, 6);
            const std::vector<float> expected = product(*backend, x, rows, m.rows());
            const GuardedBytes guarded(m.in_by_out);
            EXPECT_TRUE(
                same_bits(expected, product(*backend, x, rows, m.transposed(guarded.data()))));
            std::vector<std::byte> shifted(1);
            shifted.insert(shifted.end(), m.in_by_out.begin(), m.in_by_out.end());
            EXPECT_TRUE(
                same_bits(expected, product(*backend, x, rows, m.transposed(shifted.data() + 1))));
          }
        }
      }
    }
  }
}

TEST(InByOut, ARowDoesNotDependOnThoseBeside) {
  ThreadPool pool(2);
  const Matrix m = matrix(100, 290, DType::bf16, 7);
  const std::vector<float> x = random_floats(std::size_t{52} * 290, 8);
  for (const Isa isa : supported_isas()) {
    for (const ComputeMode mode : kModes) {
      SCOPED_TRACE(name_of(isa, mode));
      const auto backend = backend_of(isa, mode, pool);
      const std::vector<float> together = product(*backend, x, 52, m.transposed());
      for (std::size_t row = 0; row < 52; row += 3) {
        const auto from = x.begin() + static_cast<std::ptrdiff_t>(row * 290);
        const auto out = together.begin() + static_cast<std::ptrdiff_t>(row * 100);
        ASSERT_TRUE(
            same_bits({out, out + 100}, product(*backend, {from, from + 290}, 1, m.transposed())))
            << row;
      }
    }
  }
}

TEST(InByOut, WidensAsTheTransposedMatrix) {
  ThreadPool pool(2);
  for (const Isa isa : tables_and_reference()) {
    const auto backend = backend_of(isa, ComputeMode::f32, pool);
    for (const DType dtype : kWeightDTypes) {
      const Matrix m = matrix(7, 33, dtype, 9);
      std::vector<float> out(m.outputs * m.cols);
      std::vector<float> expected(m.outputs * m.cols);
      backend->widen(m.transposed(), out.data());
      backend->widen(m.rows(), expected.data());
      EXPECT_TRUE(same_bits(out, expected)) << to_string(isa);
    }
  }
}

TEST(InByOut, ItsScratchIsCounted) {
  ThreadPool pool(2);
  for (const Isa isa : supported_isas()) {
    const auto backend = backend_of(isa, ComputeMode::bf16, pool);
    std::size_t before = 0;
    for (const std::size_t rows : {1, 2, 8, 47, 96, 1000}) {
      const std::size_t bytes = backend->scratch_bytes(1, rows, 4096, WeightLayout::in_by_out);
      // Sixteen sums of each row and output that are computed together, four bytes each.
      EXPECT_GE(bytes, std::min<std::size_t>(rows, 96) * 32 * 64) << rows;
      EXPECT_LE(bytes, std::size_t{256} << 10) << rows;
      before = bytes;
    }
    EXPECT_GT(before, 0U);
  }
}

}  // namespace
}  // namespace ollm::backend
