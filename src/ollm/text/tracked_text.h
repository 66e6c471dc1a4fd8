// A text on its way through the normalizers, and for each of its bytes where that came from.
// Leaves what is changed to the normalizers.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ollm/text/utf8.h"

namespace ollm::text {

/// A text that remembers where it came from: `Metaspace` with the scheme "first" must know whether
/// a piece begins where the whole text began, and spans in which control tokens are text are given
/// in bytes of the text before normalization. Only for these every byte's origin is kept.
struct TrackedText {
  std::string text;
  bool tracked = false;
  std::vector<std::uint32_t> origin;  // of each byte of text, where tracked; ascending
  std::size_t first_bytes = 0;        // so many come from the byte that the whole text begins with
  std::size_t limit_bytes = 1 << 20;  // a step that makes more of it must fail

  bool is_over_limit() const { return text.size() > limit_bytes; }
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
    text() += bytes;
    mark(source);
  }

  /// Appends bytes [begin, end) of the text before as they stand.
  void copy(std::size_t begin, std::size_t end) {
    if (is_over_limit()) return;
    if (begin < from_.first_bytes && begin < end)
      to_.first_bytes = to_.text.size() + std::min(end, from_.first_bytes) - begin;
    to_.text.append(from_.text, begin, end - begin);
    if (to_.tracked) {
      const auto first = from_.origin.begin();
      to_.origin.insert(to_.origin.end(), first + static_cast<std::ptrdiff_t>(begin),
                        first + static_cast<std::ptrdiff_t>(end));
    }
  }

  /// The text so far, to append to; then say with mark() where that came from. Over the limit all
  /// that is appended is dropped.
  std::string& text() {
    if (!is_over_limit()) return to_.text;
    dropped_.clear();
    return dropped_;
  }
  void mark(std::size_t source) {
    if (source < from_.first_bytes) to_.first_bytes = to_.text.size();
    if (to_.tracked) to_.origin.resize(to_.text.size(), from_.origin[source]);
  }

  /// Makes room for so many bytes in all, for a step that knows: growing would hold them twice.
  void reserve(std::size_t bytes) { to_.text.reserve(std::min(bytes, to_.limit_bytes + 1)); }

  bool is_over_limit() const { return to_.is_over_limit(); }
  TrackedText take() { return std::move(to_); }

 private:
  const TrackedText& from_;
  TrackedText to_;
  std::string dropped_;
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
