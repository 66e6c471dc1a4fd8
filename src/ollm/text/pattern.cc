// Searching on behind each match (pattern.h).
// Leaves the search itself to Regex and to std::string_view.
#include "ollm/text/pattern.h"

#include "ollm/text/utf8.h"

namespace ollm::text {

std::size_t Pattern::memory_bytes() const {
  const std::string* text = plain();
  return text != nullptr ? text->size() : std::get<Regex>(what_).memory_bytes();
}

Result<bool> Matches::next(TextSpan& match) {
  if (const std::string* plain = pattern_.plain()) {
    if (plain->empty()) return false;
    const std::size_t found = text_.find(*plain, from_);
    if (found == std::string_view::npos) return false;
    match = {found, found + plain->size()};
    from_ = match.end;
    return true;
  }
  const Regex& regex = std::get<Regex>(pattern_.what_);
  while (from_ <= text_.size()) {
    OLLM_TRY(const bool found, regex.find(text_, from_, scratch_, match));
    if (!found) break;
    if (match.begin != match.end || last_end_ != match.end) {
      from_ = match.end;
      last_end_ = match.end;
      return true;
    }
    from_ += from_ < text_.size() ? unicode::utf8_length(text_[from_]) : 1;
  }
  from_ = text_.size() + 1;
  return false;
}

}  // namespace ollm::text
