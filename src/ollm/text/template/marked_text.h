// Text that remembers which of its bytes a user wrote, and the builder that keeps the marks right.
// Leaves to others: what counts as a user's (the rendering) and what is done with the marks
// (tokens).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/text/text_span.h"

namespace ollm::text::jinja {

class Budget;

/// UTF-8 text and the spans of it that came from strings of messages, tools or documents.
/// Spans ascend, do not touch each other, and are never empty.
struct MarkedText {
  std::string bytes;
  std::vector<TextSpan> literal;

  bool any_literal() const { return !literal.empty(); }
};

/// All of `bytes` is a user's.
MarkedText literal_text(std::string bytes);

/// Puts a MarkedText together from pieces; marks come along with the bytes they belong to.
///
/// Holds at most `max_bytes`, and about as many bytes of spans: what comes after is dropped,
/// `overflowed` tells, and the budget, if there is one, has run out of memory, so that no shortened
/// text goes anywhere.
class TextBuilder {
 public:
  explicit TextBuilder(std::size_t max_bytes, Budget* budget = nullptr)
      : max_bytes_(max_bytes), budget_(budget) {}

  /// Bytes of the template, or made up by us; or a user's, where `literal` says so.
  void append(std::string_view bytes, bool literal = false);
  void append(char byte) { append(std::string_view(&byte, 1)); }
  void append(const MarkedText& text) { append(text, 0, text.bytes.size()); }
  /// Only the bytes [begin, end) of `text`.
  void append(const MarkedText& text, std::size_t begin, std::size_t end);
  void append_repeated(std::string_view bytes, std::size_t times);

  std::size_t size() const { return text_.bytes.size(); }
  bool overflowed() const { return overflowed_; }
  const MarkedText& text() const { return text_; }
  MarkedText take() { return std::move(text_); }

 private:
  bool fits(std::size_t more);
  void overflow();
  void mark(std::size_t begin, std::size_t end);

  MarkedText text_;
  std::size_t max_bytes_;
  Budget* budget_;
  bool overflowed_ = false;
};

/// Says of ascending offsets whether they are literal; each question costs next to nothing.
class LiteralCursor {
 public:
  explicit LiteralCursor(const MarkedText& text) : spans_(&text.literal) {}

  bool at(std::size_t offset) {
    while (next_ < spans_->size() && (*spans_)[next_].end <= offset) ++next_;
    return next_ < spans_->size() && (*spans_)[next_].begin <= offset;
  }

 private:
  const std::vector<TextSpan>* spans_;
  std::size_t next_ = 0;
};

}  // namespace ollm::text::jinja
