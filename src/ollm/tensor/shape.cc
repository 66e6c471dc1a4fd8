#include "ollm/tensor/shape.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "ollm/base/check.h"
#include "ollm/base/checked_math.h"

namespace ollm {
namespace {

constexpr std::uint64_t kMaxElements = INT64_MAX;

// The product of the sizes, a size of 0 counting as 1; nothing where it passes kMaxElements. Zero
// must not hide an overflow: code that multiplies only some of the sizes would meet it.
std::optional<std::uint64_t> product_without_zeros(std::span<const std::uint64_t> sizes) {
  std::uint64_t product = 1;
  for (const std::uint64_t size : sizes) {
    const auto next = checked_mul(product, std::max<std::uint64_t>(size, 1));
    if (!next || *next > kMaxElements) return std::nullopt;
    product = *next;
  }
  return product;
}

}  // namespace

Shape::Shape(std::initializer_list<std::uint64_t> sizes) : rank_(sizes.size()) {
  OLLM_CHECK(rank_ <= kMaxRank);
  std::copy(sizes.begin(), sizes.end(), sizes_.begin());
  OLLM_CHECK(product_without_zeros(this->sizes()).has_value());
}

Result<Shape> Shape::make(std::span<const std::uint64_t> sizes) {
  if (sizes.size() > kMaxRank)
    return fail(ErrorKind::unsupported,
                fmt::format("a shape of {} sizes; at most {} are read", sizes.size(), kMaxRank));
  if (!product_without_zeros(sizes))
    return fail(ErrorKind::corrupt,
                fmt::format("shape [{}] has more elements than 2^63 - 1", fmt::join(sizes, ", ")));
  Shape shape;
  shape.rank_ = sizes.size();
  std::copy(sizes.begin(), sizes.end(), shape.sizes_.begin());
  return shape;
}

std::uint64_t Shape::operator[](std::size_t axis) const {
  OLLM_CHECK(axis < rank_);
  return sizes_[axis];
}

std::uint64_t Shape::element_count() const {
  std::uint64_t count = 1;
  for (const std::uint64_t size : sizes()) count *= size;
  return count;
}

std::string to_string(const Shape& shape) {
  return fmt::format("[{}]", fmt::join(shape.sizes(), ", "));
}

std::optional<std::uint64_t> size_bytes(DType dtype, const Shape& shape) {
  const auto bytes = checked_mul(shape.element_count(), size_bytes(dtype));
  if (!bytes || *bytes > kMaxElements) return std::nullopt;
  return bytes;
}

}  // namespace ollm
