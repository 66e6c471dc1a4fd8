#include "ollm/memory/buffer.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "ollm/base/checked_math.h"
#include "ollm/base/text_size.h"

namespace ollm::memory {
namespace {

constexpr std::uint64_t kPageBytes = 4096;

// Anonymous memory whose first byte is a multiple of a huge page: mapped with one page to spare,
// then the ends are given back.
std::byte* map_huge(std::size_t bytes) {
  const std::size_t spare = bytes + kHugePageBytes;
  void* mapped = ::mmap(nullptr, spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  auto* const begin = static_cast<std::byte*>(mapped);
  const auto address = reinterpret_cast<std::uintptr_t>(mapped);
  const std::size_t before = round_up(address, kHugePageBytes) - address;
  std::byte* const aligned = begin + before;
  if (before != 0) ::munmap(begin, before);
  const std::size_t behind = spare - before - bytes;
  if (behind != 0) ::munmap(aligned + bytes, behind);
  ::madvise(aligned, bytes, MADV_HUGEPAGE);  // a wish; normal pages do too
  return aligned;
}

}  // namespace

std::uint64_t charged_bytes(std::uint64_t size_bytes) {
  return round_up(size_bytes,
                  size_bytes >= kHugePageBytes ? kPageBytes : std::uint64_t{kCacheLineBytes});
}

Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_bytes_(std::exchange(other.size_bytes_, 0)),
      mapped_bytes_(std::exchange(other.mapped_bytes_, 0)),
      charge_(std::move(other.charge_)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this != &other) {
    free();
    data_ = std::exchange(other.data_, nullptr);
    size_bytes_ = std::exchange(other.size_bytes_, 0);
    mapped_bytes_ = std::exchange(other.mapped_bytes_, 0);
    charge_ = std::move(other.charge_);
  }
  return *this;
}

Buffer::~Buffer() { free(); }

void Buffer::free() {
  if (mapped_bytes_ != 0) {
    ::munmap(data_, mapped_bytes_);
  } else {
    std::free(data_);
  }
  data_ = nullptr;
  size_bytes_ = mapped_bytes_ = 0;
  charge_ = Charge();
}

Result<Buffer> Buffer::make(Budget& budget, std::string_view owner, std::size_t size_bytes) {
  Buffer buffer;
  if (size_bytes == 0) return buffer;
  if (size_bytes > SIZE_MAX / 2) {
    return fail(ErrorKind::out_of_budget,
                fmt::format("{} needs {} bytes, more than any machine has", owner, size_bytes));
  }
  const bool huge = size_bytes >= kHugePageBytes;
  const std::size_t rounded = charged_bytes(size_bytes);
  OLLM_TRY(buffer.charge_, budget.charge(owner, rounded));
  if (huge) {
    buffer.data_ = map_huge(rounded);
    buffer.mapped_bytes_ = rounded;
  } else {
    buffer.data_ = static_cast<std::byte*>(std::aligned_alloc(kCacheLineBytes, rounded));
    if (buffer.data_ != nullptr) std::memset(buffer.data_, 0, rounded);
  }
  if (buffer.data_ == nullptr) {
    buffer.mapped_bytes_ = 0;
    return fail(ErrorKind::out_of_budget,
                fmt::format("{}: the system has no {}", owner, format_bytes(size_bytes)));
  }
  buffer.size_bytes_ = size_bytes;
  return buffer;
}

}  // namespace ollm::memory
