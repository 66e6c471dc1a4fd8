// Memory that is charged to an owner, aligned, zeroed, and in huge pages where it is large.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "ollm/base/result.h"
#include "ollm/memory/budget.h"

namespace ollm::memory {

/// Kernels read whole cache lines; direct reads need 4 KiB. Small buffers keep the first.
inline constexpr std::size_t kCacheLineBytes = 64;
inline constexpr std::size_t kHugePageBytes = std::size_t{2} << 20;

/// What a buffer of this size is charged with: whole pages of large ones, cache lines of small
/// ones.
std::uint64_t charged_bytes(std::uint64_t size_bytes);

/// Owned bytes, all zero at first, at a multiple of 64; from 2 MiB on at a multiple of 2 MiB, with
/// transparent huge pages asked for, and touched only as they are used.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer();

  /// Errors: out_of_budget, also where the system has no memory.
  static Result<Buffer> make(Budget& budget, std::string_view owner, std::size_t size_bytes);

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  std::size_t size_bytes() const { return size_bytes_; }
  std::span<std::byte> bytes() { return {data_, size_bytes_}; }

  /// The bytes as an array of T; only for trivial T, whose alignment 64 covers.
  template <typename T>
  T* as() {
    return reinterpret_cast<T*>(data_);
  }
  template <typename T>
  const T* as() const {
    return reinterpret_cast<const T*>(data_);
  }

 private:
  void free();

  std::byte* data_ = nullptr;
  std::size_t size_bytes_ = 0;
  std::size_t mapped_bytes_ = 0;  // of mmap, 0 where it came from the heap
  Charge charge_;
};

}  // namespace ollm::memory
