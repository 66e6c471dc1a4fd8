#include "ollm/text/template/marked_text.h"

#include <algorithm>
#include <utility>

#include "ollm/text/template/limits.h"

namespace ollm::text::jinja {
namespace {

// Spans may take as much memory as the bytes may, and these many in any case.
constexpr std::size_t kSpansAtLeast = 1'024;

}  // namespace

MarkedText literal_text(std::string bytes) {
  MarkedText text{std::move(bytes), {}};
  if (!text.bytes.empty()) text.literal.push_back({0, text.bytes.size()});
  return text;
}

bool TextBuilder::fits(std::size_t more) {
  if (!overflowed_ && more <= max_bytes_ - std::min(max_bytes_, text_.bytes.size())) return true;
  overflow();
  return false;
}

void TextBuilder::overflow() {
  overflowed_ = true;
  if (budget_ != nullptr) budget_->exceed_memory();
}

void TextBuilder::mark(std::size_t begin, std::size_t end) {
  if (begin >= end) return;
  if (!text_.literal.empty() && text_.literal.back().end == begin) {
    text_.literal.back().end = end;
  } else if (text_.literal.size() >= kSpansAtLeast + max_bytes_ / sizeof(TextSpan)) {
    overflow();
  } else {
    text_.literal.push_back({begin, end});
  }
}

void TextBuilder::append(std::string_view bytes, bool literal) {
  if (bytes.empty() || !fits(bytes.size())) return;
  text_.bytes.append(bytes);
  if (literal) mark(text_.bytes.size() - bytes.size(), text_.bytes.size());
}

void TextBuilder::append(const MarkedText& text, std::size_t begin, std::size_t end) {
  if (begin >= end || !fits(end - begin)) return;
  const std::size_t base = text_.bytes.size();
  text_.bytes.append(text.bytes, begin, end - begin);
  auto span =
      std::lower_bound(text.literal.begin(), text.literal.end(), begin,
                       [](const TextSpan& s, std::size_t offset) { return s.end <= offset; });
  for (; span != text.literal.end() && span->begin < end; ++span) {
    mark(base + std::max(span->begin, begin) - begin, base + std::min(span->end, end) - begin);
  }
}

void TextBuilder::append_repeated(std::string_view bytes, std::size_t times) {
  if (bytes.empty() || times == 0) return;
  if (times > max_bytes_ / bytes.size() || !fits(bytes.size() * times)) {
    overflow();
    return;
  }
  for (; times > 0; --times) text_.bytes.append(bytes);
}

}  // namespace ollm::text::jinja
