// A long text that grows at its end. Leaves to others: what is in it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace ollm::openai {

/// In pieces that stay where they are, each full but the last: beside a string that grows, a second
/// one stands whenever it moves, and up to as much room again behind it.
class TextParts {
 public:
  void add(std::string_view text);
  /// Its pieces go one by one.
  void add(TextParts more);
  /// Gives back what the last piece has room for.
  void shrink();

  std::size_t size() const { return size_; }
  std::vector<std::string> take() &&;
  std::string joined() const;

 private:
  std::vector<std::string> parts_;
  std::size_t size_ = 0;
};

}  // namespace ollm::openai
