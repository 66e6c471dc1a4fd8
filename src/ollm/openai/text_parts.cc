#include "ollm/openai/text_parts.h"

#include <algorithm>
#include <utility>

namespace ollm::openai {
namespace {

// Of a piece: far below what the system gives by pages, far above what a piece itself takes.
constexpr std::size_t kPartBytes = std::size_t{64} << 10;

}  // namespace

void TextParts::add(std::string_view text) {
  size_ += text.size();
  while (!text.empty()) {
    if (parts_.empty() || parts_.back().size() == kPartBytes) {
      const bool is_long = !parts_.empty();
      parts_.emplace_back();
      if (is_long) parts_.back().reserve(kPartBytes);
    }
    const std::size_t some = std::min(text.size(), kPartBytes - parts_.back().size());
    parts_.back() += text.substr(0, some);
    text.remove_prefix(some);
  }
}

void TextParts::add(TextParts more) {
  for (std::string& part : more.parts_) {
    add(std::string_view(part));
    std::string().swap(part);  // an assignment would keep its memory
  }
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
