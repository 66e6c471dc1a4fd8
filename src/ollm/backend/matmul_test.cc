// Matrix products of every table: against the reference, against each other, and the same bits
// whatever stands beside a row.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "ollm/backend/kernel_fixture.h"

namespace ollm::backend {
namespace {

struct Case {
  std::size_t rows, cols, outputs;
};

struct Operands {
  Case shape;
  std::vector<float> x;
  std::vector<std::byte> weights;
  std::size_t offset;
  DType dtype;
};

Operands operands(Case shape, DType dtype, std::size_t offset, unsigned seed) {
  return {shape, random_floats(shape.rows * shape.cols, seed),
          weight_bytes(random_floats(shape.outputs * shape.cols, seed + 1), dtype, offset), offset,
          dtype};
}

std::vector<float> product(Backend& backend, const Operands& o, const std::byte* weights,
                           std::size_t first_row = 0, std::size_t rows = SIZE_MAX) {
  rows = std::min(rows, o.shape.rows - first_row);
  return product(backend, o.x.data() + first_row * o.shape.cols, rows,
                 {weights, *plain_format(o.dtype), o.shape.outputs, o.shape.cols});
}

std::vector<float> product(Backend& backend, const Operands& o) {
  return product(backend, o, o.weights.data() + o.offset);
}

// 2e-6 times the sum of |products|: rounding errors of 16 lanes grow slower than that up to 2^20
// columns.
void expect_close(const std::vector<float>& got, const std::vector<float>& truth,
                  const Operands& o) {
  for (std::size_t r = 0; r < o.shape.rows; ++r) {
    double size = 0;
    for (std::size_t i = 0; i < o.shape.cols; ++i)
      size += std::abs(static_cast<double>(o.x[r * o.shape.cols + i])) * 4;
    for (std::size_t j = 0; j < o.shape.outputs; ++j) {
      const std::size_t at = r * o.shape.outputs + j;
      ASSERT_NEAR(got[at], truth[at], 2e-6 * size) << "row " << r << ", output " << j;
    }
  }
}

const std::size_t kCols[] = {1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 513};
const std::size_t kRows[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 17, 64};

TEST(Matmul, AgreesWithTheReferenceAtAwkwardSizes) {
  ThreadPool pool(2);
  for (const ComputeMode mode : kModes) {
    const auto reference = backend_of(Isa::reference, mode, pool);
    for (const Isa isa : supported_isas()) {
      SCOPED_TRACE(name_of(isa, mode));
      const auto backend = backend_of(isa, mode, pool);
      unsigned seed = 1;
      for (const DType dtype : kWeightDTypes) {
        for (const std::size_t cols : kCols) {
          for (const std::size_t rows : kRows) {
            const Operands o =
                operands({rows, cols, 1 + (rows + cols) % 37}, dtype, seed % 64, seed);
            expect_close(product(*backend, o), product(*reference, o), o);
            if (HasFatalFailure()) FAIL() << to_string(dtype) << ' ' << rows << 'x' << cols;
            ++seed;
          }
        }
      }
    }
  }
}

// More columns and outputs than one block holds, rows in several blocks.
TEST(Matmul, AgreesWithTheReferenceAcrossBlocks) {
  ThreadPool pool(2);
  const Case shapes[] = {{25, 1100, 70}, {400, 600, 40}, {1, 5000, 33}};
  for (const ComputeMode mode : kModes) {
    const auto reference = backend_of(Isa::reference, mode, pool);
    for (const Isa isa : supported_isas()) {
      SCOPED_TRACE(name_of(isa, mode));
      const auto backend = backend_of(isa, mode, pool);
      for (const Case& shape : shapes) {
        const Operands o = operands(shape, DType::bf16, 2, 7);
        expect_close(product(*backend, o), product(*reference, o), o);
      }
    }
  }
}

TEST(Matmul, TablesOfOneClassGiveTheSameBits) {
  ThreadPool pool(2);
  for (const ComputeMode mode : kModes) {
    const auto scalar = backend_of(Isa::scalar, mode, pool);
    for (const Isa isa : supported_isas()) {
      if (numeric_class(isa, mode) != scalar->numeric_class()) continue;
      SCOPED_TRACE(name_of(isa, mode));
      const auto backend = backend_of(isa, mode, pool);
      unsigned seed = 100;
      for (const DType dtype : kWeightDTypes) {
        for (const std::size_t cols : kCols) {
          for (const std::size_t rows : {std::size_t{1}, std::size_t{7}, std::size_t{33}}) {
            const Operands o = operands({rows, cols, 19}, dtype, seed % 64, seed);
            ASSERT_TRUE(same_bits(product(*backend, o), product(*scalar, o)))
                << to_string(dtype) << ' ' << rows << 'x' << cols;
            ++seed;
          }
        }
        const Operands o = operands({50, 1100, 40}, dtype, 1, seed);
        ASSERT_TRUE(same_bits(product(*backend, o), product(*scalar, o))) << to_string(dtype);
      }
    }
  }
}

TEST(Matmul, RowsDoNotDependOnRowsBesideThem) {
  ThreadPool pool(2);
  for (const ComputeMode mode : kModes) {
    for (const Isa isa : supported_isas()) {
      SCOPED_TRACE(name_of(isa, mode));
      const auto backend = backend_of(isa, mode, pool);
      for (const DType dtype : kWeightDTypes) {
        const Operands o = operands({67, 1057, 37}, dtype, 3, 11);
        const std::byte* weights = o.weights.data() + o.offset;
        const std::vector<float> together = product(*backend, o);
        for (const std::size_t chunk :
             {std::size_t{1}, std::size_t{2}, std::size_t{7}, std::size_t{30}, std::size_t{64}}) {
          std::vector<float> apart;
          for (std::size_t row = 0; row < o.shape.rows; row += chunk) {
            const std::vector<float> part = product(*backend, o, weights, row, chunk);
            apart.insert(apart.end(), part.begin(), part.end());
          }
          ASSERT_TRUE(same_bits(together, apart)) << to_string(dtype) << " by " << chunk;
        }
      }
    }
  }
}

// Every number of rows from one to more than any table computes without panels, in several blocks
// of columns and pieces of outputs: each row alone.
TEST(Matmul, FewRowsGiveTheBitsOfEachRowAlone) {
  constexpr std::size_t kMostRows = 50;
  ThreadPool pool(2);
  const Case shapes[] = {{kMostRows, 33, 5}, {kMostRows, 1700, 53}};
  for (const ComputeMode mode : kModes) {
    for (const Isa isa : supported_isas()) {
      SCOPED_TRACE(name_of(isa, mode));
      const auto backend = backend_of(isa, mode, pool);
      for (const DType dtype : kWeightDTypes) {
        for (const Case& shape : shapes) {
          const Operands o = operands(shape, dtype, 1, 12);
          const std::byte* weights = o.weights.data() + o.offset;
          std::vector<float> alone;
          for (std::size_t row = 0; row < kMostRows; ++row) {
            const std::vector<float> one = product(*backend, o, weights, row, 1);
            alone.insert(alone.end(), one.begin(), one.end());
          }
          for (std::size_t rows = 2; rows <= kMostRows; ++rows) {
            // The slow table takes part with the counts at which groups of rows change.
            if (isa == Isa::scalar && shape.cols > 100 && rows > 5 && rows < 47) continue;
            const std::size_t first = (kMostRows - rows) / 2;
            const auto begin = alone.begin() + static_cast<std::ptrdiff_t>(first * shape.outputs);
            const std::vector<float> expected(
                begin, begin + static_cast<std::ptrdiff_t>(rows * shape.outputs));
            ASSERT_TRUE(same_bits(expected, product(*backend, o, weights, first, rows)))
                << to_string(dtype) << ", " << rows << " rows of " << shape.cols << " columns";
          }
        }
      }
    }
  }
}

TEST(Matmul, BitsDoNotDependOnThreadsOrSegments) {
  ThreadPool one(1);
  ThreadPool two(2);
  ThreadPool three(3);
  for (const ComputeMode mode : kModes) {
    for (const Isa isa : supported_isas()) {
      SCOPED_TRACE(name_of(isa, mode));
      const auto alone = backend_of(isa, mode, one);
      for (const std::size_t rows : {std::size_t{1}, std::size_t{5}, std::size_t{40}}) {
        const Operands o = operands({rows, 515, 203}, DType::bf16, 0, 13);
        const std::vector<float> expected = product(*alone, o);
        for (ThreadPool* pool : {&two, &three}) {
          const auto backend = backend_of(isa, mode, *pool);
          ASSERT_TRUE(same_bits(expected, product(*backend, o)));
          // The same weights in segments of 1, 50 and 152 rows.
          const AlignedBytes left(backend->left_bytes(rows, 515));
          const LeftOperand x = backend->prepare_left(o.x.data(), 515, rows, 515, left.get());
          std::vector<float> out(rows * 203);
          std::size_t first = 0;
          for (const std::size_t n : {std::size_t{1}, std::size_t{50}, std::size_t{152}}) {
            backend->matmul(x, {o.weights.data() + first * 515 * 2, {WeightElement::bf16}, n, 515},
                            out.data() + first, 203);
            first += n;
          }
          ASSERT_TRUE(same_bits(expected, out));
        }
      }
    }
  }
}

TEST(Matmul, BitsDoNotDependOnTheAlignmentOfWeights) {
  ThreadPool pool(1);
  for (const ComputeMode mode : kModes) {
    for (const Isa isa : supported_isas()) {
      SCOPED_TRACE(name_of(isa, mode));
      const auto backend = backend_of(isa, mode, pool);
      for (const DType dtype : kWeightDTypes) {
        for (const std::size_t rows : {std::size_t{1}, std::size_t{4}, std::size_t{30}}) {
          const std::vector<float> expected =
              product(*backend, operands({rows, 77, 9}, dtype, 0, 17));
          for (std::size_t offset = 1; offset < 64; ++offset)
            ASSERT_TRUE(
                same_bits(expected, product(*backend, operands({rows, 77, 9}, dtype, offset, 17))))
                << to_string(dtype) << " at byte " << offset;
        }
      }
    }
  }
}

TEST(Matmul, ReadsNoByteBeyondTheWeights) {
  ThreadPool pool(1);
  for (const ComputeMode mode : kModes) {
    for (const Isa isa : supported_isas()) {
      SCOPED_TRACE(name_of(isa, mode));
      const auto backend = backend_of(isa, mode, pool);
      for (const DType dtype : kWeightDTypes) {
        for (const std::size_t cols : kCols) {
          for (const std::size_t rows : {std::size_t{1}, std::size_t{3}, std::size_t{25}}) {
            const Operands o = operands({rows, cols, 5}, dtype, 0, 19);
            const GuardedBytes guarded(o.weights);
            EXPECT_TRUE(same_bits(product(*backend, o), product(*backend, o, guarded.data())));
          }
        }
      }
    }
  }
}

// What a caller left in the rest of a row of x, or in storage, must not count.
TEST(Matmul, PaddingIsZeroWhateverStorageHeld) {
  ThreadPool pool(1);
  for (const ComputeMode mode : kModes) {
    for (const Isa isa : supported_isas()) {
      SCOPED_TRACE(name_of(isa, mode));
      const auto backend = backend_of(isa, mode, pool);
      const Operands o = operands({3, 33, 4}, DType::f32, 0, 23);
      const std::size_t size = backend->left_bytes(3, 33);
      const AlignedBytes left(size);
      std::memset(left.get(), 0xff, size);
      std::vector<float> x(3 * 50, std::nanf(""));
      for (std::size_t r = 0; r < 3; ++r)
        std::copy_n(o.x.begin() + static_cast<std::ptrdiff_t>(r * 33), 33,
                    x.begin() + static_cast<std::ptrdiff_t>(r * 50));
      std::vector<float> out(3 * 4);
      backend->matmul(backend->prepare_left(x.data(), 50, 3, 33, left.get()),
                      {o.weights.data(), {WeightElement::f32}, 4, 33}, out.data(), 4);
      EXPECT_TRUE(same_bits(product(*backend, o), out));
    }
  }
}

TEST(Matmul, Bf16ModeRoundsTheLeftOperand) {
  ThreadPool pool(1);
  for (const Isa isa : supported_isas()) {
    const auto backend = backend_of(isa, ComputeMode::bf16, pool);
    // 1 + 2^-9 is rounded to 1, 1 + 3 * 2^-8 to 1 + 2^-6 (a tie, to even).
    Operands o = operands({2, 1, 1}, DType::bf16, 0, 29);
    o.x = {1 + 0x1p-9f, 1 + 3 * 0x1p-8f};
    o.weights = weight_bytes({1}, DType::bf16);
    EXPECT_TRUE(same_bits(product(*backend, o), {1, 1 + 0x1p-6f})) << to_string(isa);
  }
}

TEST(Matmul, AnUnroundedLeftOperandGivesTheBitsOfF32Mode) {
  ThreadPool pool(2);
  for (const Isa isa : supported_isas()) {
    const auto f32 = backend_of(isa, ComputeMode::f32, pool);
    const auto bf16 = backend_of(isa, ComputeMode::bf16, pool);
    for (const DType dtype : kWeightDTypes) {
      for (const std::size_t rows : {std::size_t{1}, std::size_t{5}, std::size_t{60}}) {
        const Operands o = operands({rows, 515, 37}, dtype, 1, 37);
        const AlignedBytes left(bf16->left_bytes(rows, 515, LeftRounding::none));
        const LeftOperand x =
            bf16->prepare_left(o.x.data(), 515, rows, 515, left.get(), LeftRounding::none);
        std::vector<float> out(rows * 37);
        bf16->matmul(x, {o.weights.data() + 1, *plain_format(dtype), 37, 515}, out.data(), 37);
        EXPECT_TRUE(same_bits(product(*f32, o), out)) << to_string(isa) << ", " << rows;
        EXPECT_FALSE(same_bits(product(*bf16, o), out)) << to_string(isa) << ", " << rows;
      }
    }
  }
}

TEST(Matmul, DenormalsAreZeroAndNanStays) {
  ThreadPool pool(1);
  for (const ComputeMode mode : kModes) {
    for (const Isa isa : supported_isas()) {
      SCOPED_TRACE(name_of(isa, mode));
      const auto backend = backend_of(isa, mode, pool);
      Operands o = operands({3, 2, 1}, DType::f32, 0, 31);
      o.x = {0x1p-130f, 0, 1e-30f, 1e-30f, std::nanf(""), 1};
      o.weights = weight_bytes({0x1p100f, 0x1p-40f}, DType::f32);
      const std::vector<float> out = product(*backend, o);
      EXPECT_EQ(out[0], 0);
      EXPECT_GT(out[1], 1);
      EXPECT_TRUE(std::isnan(out[2]));
    }
  }
}

}  // namespace
}  // namespace ollm::backend
