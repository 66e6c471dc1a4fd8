// The bytes of a fuzz input as choices: sizes, flags, texts. An input that has ended goes on with
// zeros, so that every prefix is an input too and the first of each list is the plain choice.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace ollm::fuzz {

class Bytes {
 public:
  Bytes(const std::uint8_t* data, std::size_t size) : left_(data, size) {}

  bool empty() const { return left_.empty(); }

  std::uint8_t byte() {
    if (left_.empty()) return 0;
    const std::uint8_t value = left_.front();
    left_ = left_.subspan(1);
    return value;
  }

  /// 0 ... count - 1; count at most 256.
  std::size_t pick(std::size_t count) { return byte() % count; }
  bool flag() { return byte() % 2 != 0; }

  /// One of a list.
  template <typename List>
  const auto& one_of(const List& list) {
    return std::data(list)[pick(std::size(list))];
  }

  /// At most 255 bytes of the input as they are.
  std::string text() {
    const std::size_t size = std::min<std::size_t>(byte(), left_.size());
    const std::string out(left_.begin(), left_.begin() + static_cast<std::ptrdiff_t>(size));
    left_ = left_.subspan(size);
    return out;
  }

 private:
  std::span<const std::uint8_t> left_;
};

}  // namespace ollm::fuzz
