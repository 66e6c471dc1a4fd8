#include "ollm/openai/text_parts.h"

#include <iterator>
#include <utility>

namespace ollm::openai {
namespace {

// Of a piece: far below what the system gives by pages, far above what a piece itself takes.
constexpr std::size_t kPartBytes = std::size_t{64} << 10;
// What is copied rather than kept as a piece of its own.
constexpr std::size_t kShortBytes = std::size_t{8} << 10;

}  // namespace

void TextParts::add(std::string_view text) {
  if (text.empty()) return;
  if (parts_.empty() || parts_.back().size() + text.size() > kPartBytes) {
    const bool is_long = !parts_.empty();
    parts_.emplace_back();
    if (is_long) parts_.back().reserve(kPartBytes);
  }
  parts_.back() += text;
  size_ += text.size();
}

void TextParts::add(TextParts more) {
  if (more.size_ <= kShortBytes) {
    for (const std::string& part : more.parts_) add(part);
    return;
  }
  size_ += more.size_;
  parts_.insert(parts_.end(), std::make_move_iterator(more.parts_.begin()),
                std::make_move_iterator(more.parts_.end()));
}

void TextParts::shrink() {
  if (!parts_.empty()) parts_.back().shrink_to_fit();
}

std::vector<std::string> TextParts::take() && {
  size_ = 0;
  return std::move(parts_);
}

std::string TextParts::joined() const {
  std::string all;
  all.reserve(size_);
  for (const std::string& part : parts_) all += part;
  return all;
}

}  // namespace ollm::openai
