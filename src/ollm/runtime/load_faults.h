// For the tests of this folder: a load that goes wrong where no file can make it.
#pragma once

#include <optional>
#include <vector>

#include "ollm/ollm.h"
#include "ollm/plan/plans.h"

namespace ollm::runtime {

/// What the specialization's load lacks; the generic backend's load after it is whole.
struct LoadFaults {
  std::vector<SpecializationPassId> withheld;  // passes whose work is taken as not done
  std::optional<Error> building;               // the engine cannot be built, and why

  /// Runtime::load, with these faults.
  Result<Runtime> load(const Plan& plan, SpecializationFailure* failure = nullptr) const;
};

}  // namespace ollm::runtime
