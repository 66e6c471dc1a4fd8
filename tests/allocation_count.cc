// The counting replacements of operator new and delete.
// Leaves to others: what may allocate where; the tests say.
#include "tests/allocation_count.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<std::size_t> count{0};

void* counted(std::size_t size) noexcept {
  ++count;
  return std::malloc(size == 0 ? 1 : size);  // malloc may answer null for 0, operator new may not
}

void* counted(std::size_t size, std::align_val_t alignment) noexcept {
  ++count;
  const auto step = static_cast<std::size_t>(alignment);
  return std::aligned_alloc(step, size == 0 ? step : (size + step - 1) / step * step);
}

void* or_throw(void* memory) {
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

using Align = std::align_val_t;
using NoThrow = const std::nothrow_t&;

}  // namespace

namespace ollm::testing {

std::size_t allocation_count() { return count; }

}  // namespace ollm::testing

// All forms, as a sanitizer's own ones would not call these by default as the library's do.
void* operator new(std::size_t n) { return or_throw(counted(n)); }
void* operator new[](std::size_t n) { return or_throw(counted(n)); }
void* operator new(std::size_t n, Align a) { return or_throw(counted(n, a)); }
void* operator new[](std::size_t n, Align a) { return or_throw(counted(n, a)); }
void* operator new(std::size_t n, NoThrow) noexcept { return counted(n); }
void* operator new[](std::size_t n, NoThrow) noexcept { return counted(n); }
void* operator new(std::size_t n, Align a, NoThrow) noexcept { return counted(n, a); }
void* operator new[](std::size_t n, Align a, NoThrow) noexcept { return counted(n, a); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, Align) noexcept { std::free(p); }
void operator delete[](void* p, Align) noexcept { std::free(p); }
void operator delete(void* p, std::size_t, Align) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t, Align) noexcept { std::free(p); }
void operator delete(void* p, NoThrow) noexcept { std::free(p); }
void operator delete[](void* p, NoThrow) noexcept { std::free(p); }
void operator delete(void* p, Align, NoThrow) noexcept { std::free(p); }
void operator delete[](void* p, Align, NoThrow) noexcept { std::free(p); }
