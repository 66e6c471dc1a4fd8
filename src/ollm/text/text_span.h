// A run of bytes inside a text: what the template marks and the tokenizer heeds.
// Leaves to others: who owns the text, and what a span of it means.
#pragma once

#include <cstddef>

namespace ollm::text {

/// The bytes [begin, end) of some text.
struct TextSpan {
  std::size_t begin = 0;
  std::size_t end = 0;

  friend bool operator==(const TextSpan&, const TextSpan&) = default;
};

}  // namespace ollm::text
