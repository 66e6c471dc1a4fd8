#include "ollm/models/blocks/rows.h"

#include <algorithm>

#include "ollm/models/blocks/activations.h"

namespace ollm::models {

void lay_out_seen(std::span<const RowSpan> spans, Activations& activations) {
  for (const std::size_t window : activations.windows) {
    const SeenTokens seen = activations.seen_of(window);
    for (const RowSpan& span : spans) {
      for (std::size_t r = 0; r < span.rows; ++r) {
        const std::size_t end = span.line->tokens() + r + 1;
        const std::size_t first = window == 0 ? 0 : end - std::min(end, window);
        seen.first[span.first_row + r] = static_cast<std::uint32_t>(first);
        seen.end[span.first_row + r] = static_cast<std::uint32_t>(end);
      }
    }
  }
}

}  // namespace ollm::models
