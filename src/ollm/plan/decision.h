// One choice of a plan with its reason. Leaves to others: who chooses what.
#pragma once

#include <string>

namespace ollm::plan {

/// One choice, kept so that a person can see why it fell that way.
struct Decision {
  std::string what;     // "kv.strategy"
  std::string chosen;   // "paged"
  std::string because;  // "131072 tokens need 16.0 GiB; 5.2 GiB left after weights"

  friend bool operator==(const Decision&, const Decision&) = default;
};

}  // namespace ollm::plan
