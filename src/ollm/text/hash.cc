// The seed of this process (hash.h).
// Leaves everything else to the header.
#include "ollm/text/hash.h"

#include <random>

namespace ollm::text {

std::uint64_t hash_seed() {
  static const std::uint64_t seed = [] {
    std::random_device device;
    return (static_cast<std::uint64_t>(device()) << 32) ^ device();
  }();
  return seed;
}

}  // namespace ollm::text
