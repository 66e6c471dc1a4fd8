#include "ollm/base/clock.h"

#include <chrono>

namespace ollm {

double monotonic_seconds() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(since).count();
}

}  // namespace ollm
