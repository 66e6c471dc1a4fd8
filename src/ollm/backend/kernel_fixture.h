// What the tests of kernels share: every table of this machine, random operands, guarded bytes.
// Leaves to others: what is expected of a kernel.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "ollm/backend/backend.h"
#include "ollm/base/check.h"
#include "ollm/tensor/float16.h"

namespace ollm::backend {

constexpr ComputeMode kModes[] = {ComputeMode::f32, ComputeMode::bf16};
constexpr DType kWeightDTypes[] = {DType::f32, DType::f16, DType::bf16};

inline std::unique_ptr<Backend> backend_of(Isa isa, ComputeMode mode, ThreadPool& pool) {
  auto made = make_backend({isa, mode}, pool);
  OLLM_CHECK(made.ok());
  return std::move(*made);
}

/// Every table of this machine, and the reference.
inline std::vector<Isa> tables_and_reference() {
  std::vector<Isa> isas(supported_isas().begin(), supported_isas().end());
  isas.push_back(Isa::reference);
  return isas;
}

/// Bytes at a 64-byte boundary.
class AlignedBytes {
 public:
  explicit AlignedBytes(std::size_t size)
      : bytes_(static_cast<std::byte*>(std::aligned_alloc(64, (size + 127) / 64 * 64)), std::free) {
    std::memset(bytes_.get(), 0, (size + 127) / 64 * 64);
  }
  std::byte* get() const { return bytes_.get(); }

 private:
  std::unique_ptr<std::byte, void (*)(void*)> bytes_;
};

/// A copy of some bytes whose last one is the last of a page; the next page cannot be read.
class GuardedBytes {
 public:
  explicit GuardedBytes(const std::vector<std::byte>& bytes) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t used = (bytes.size() + page - 1) / page * page;
    size_ = used + page;
    void* mapped = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    OLLM_CHECK(mapped != MAP_FAILED);
    mapped_ = static_cast<std::byte*>(mapped);
    OLLM_CHECK(mprotect(mapped_ + used, page, PROT_NONE) == 0);
    data_ = mapped_ + used - bytes.size();
    std::memcpy(data_, bytes.data(), bytes.size());
  }
  ~GuardedBytes() { munmap(mapped_, size_); }
  GuardedBytes(const GuardedBytes&) = delete;
  GuardedBytes& operator=(const GuardedBytes&) = delete;
  const std::byte* data() const { return data_; }

 private:
  std::byte* mapped_ = nullptr;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

inline std::vector<float> random_floats(std::size_t n, unsigned seed, float size = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, size);
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

inline std::size_t element_bytes(DType dtype) { return dtype == DType::f32 ? 4 : 2; }

/// The values in the bytes of a weight type, after `offset` bytes of something else.
inline std::vector<std::byte> weight_bytes(const std::vector<float>& values, DType dtype,
                                           std::size_t offset = 0) {
  std::vector<std::byte> bytes(offset + values.size() * element_bytes(dtype), std::byte{0xff});
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (dtype == DType::f32) {
      std::memcpy(bytes.data() + offset + 4 * i, &values[i], 4);
    } else {
      const std::uint16_t half =
          dtype == DType::bf16 ? f32_to_bf16(values[i]) : f32_to_f16(values[i]);
      std::memcpy(bytes.data() + offset + 2 * i, &half, 2);
    }
  }
  return bytes;
}

/// Equal bits, so that -0 and 0 differ and a NaN equals itself.
inline ::testing::AssertionResult same_bits(const std::vector<float>& a,
                                            const std::vector<float>& b) {
  if (a.size() != b.size()) return ::testing::AssertionFailure() << "sizes differ";
  for (std::size_t i = 0; i < a.size(); ++i)
    if (std::memcmp(&a[i], &b[i], 4) != 0)
      return ::testing::AssertionFailure() << "element " << i << ": " << a[i] << " and " << b[i];
  return ::testing::AssertionSuccess();
}

/// x [rows, w.cols] times the transposed w, [rows, w.rows].
inline std::vector<float> product(Backend& backend, const float* x, std::size_t rows,
                                  const WeightRows& w,
                                  LeftRounding rounding = LeftRounding::as_mode) {
  const AlignedBytes left(backend.left_bytes(rows, w.cols, rounding));
  const LeftOperand prepared = backend.prepare_left(x, w.cols, rows, w.cols, left.get(), rounding);
  std::vector<float> out(rows * w.rows, -1);
  backend.matmul(prepared, w, out.data(), w.rows);
  return out;
}

inline std::vector<float> product(Backend& backend, const std::vector<float>& x, std::size_t rows,
                                  const WeightRows& w,
                                  LeftRounding rounding = LeftRounding::as_mode) {
  return product(backend, x.data(), rows, w, rounding);
}

inline std::string name_of(Isa isa, ComputeMode mode) {
  std::string name(to_string(isa));
  name += ", ";
  name += to_string(mode);
  return name;
}

}  // namespace ollm::backend
