// A text on its way through the normalizers, and for each of its bytes where that came from.
// Leaves what is changed to the normalizers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ollm/text/utf8.h"

namespace ollm::text {

/// A text that remembers its origin where somebody asks for it: `Metaspace` with the scheme "first"
/// must know whether a piece begins where the whole text began, and spans in which control tokens
/// are text are given in bytes of the text before normalization.
struct TrackedText {
  std::string text;
  bool tracked = false;
  std::vector<std::uint32_t> origin;  // of each byte of text, where tracked; ascending
  std::size_t limit_bytes = 1 << 20;  // a step that makes more of it must fail

  std::uint32_t origin_at(std::size_t byte) const { return tracked ? origin[byte] : 0; }
};

/// Writes a changed text from left to right.
class TrackedWriter {
 public:
  explicit TrackedWriter(const TrackedText& from) : from_(from) {
    to_.tracked = from.tracked;
    to_.limit_bytes = from.limit_bytes;
    to_.text.reserve(from.text.size() + from.text.size() / 8);
    if (from.tracked) to_.origin.reserve(to_.text.capacity());
  }

  /// Appends `bytes`, which come from byte `source` of the text before.
  void put(std::string_view bytes, std::size_t source) {
    to_.text += bytes;
    mark(source);
  }

  /// Appends bytes [begin, end) of the text before as they stand.
  void copy(std::size_t begin, std::size_t end) {
    to_.text.append(from_.text, begin, end - begin);
    if (to_.tracked) {
      const auto first = from_.origin.begin();
      to_.origin.insert(to_.origin.end(), first + static_cast<std::ptrdiff_t>(begin),
                        first + static_cast<std::ptrdiff_t>(end));
    }
  }

  /// The text so far, to append to; then say with mark() where that came from.
  std::string& text() { return to_.text; }
  void mark(std::size_t source) {
    if (to_.tracked) to_.origin.resize(to_.text.size(), from_.origin[source]);
  }

  bool is_over_limit() const { return to_.text.size() > to_.limit_bytes; }
  TrackedText take() { return std::move(to_); }

 private:
  const TrackedText& from_;
  TrackedText to_;
};

/// Makes a text anew character by character: `step(c, begin, end, writer)` gets each with its bytes
/// [begin, end) and writes what takes its place.
template <typename Step>
void rewrite(TrackedText& text, const Step& step) {
  const std::string_view in = text.text;
  TrackedWriter out(text);
  for (std::size_t at = 0; at < in.size();) {
    const std::size_t begin = at;
    const char32_t c = unicode::next_code_point(in, at);
    step(c, begin, at, out);
  }
  text = out.take();
}

}  // namespace ollm::text
