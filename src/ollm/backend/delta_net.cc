#include "ollm/backend/delta_net.h"

namespace ollm::backend {

std::size_t state_floats(const DeltaLayout& layout) {
  return layout.value_heads * layout.key_size * layout.value_size;
}

std::size_t kept_floats(const DeltaLayout& layout) {
  return layout.key_heads * layout.key_size + layout.value_heads * (layout.value_size + 1);
}

}  // namespace ollm::backend
