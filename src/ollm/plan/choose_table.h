// Which table of kernels a machine computes with: once per machine and mode, never by workload, as
// keys and values that are kept would else belong to two numeric classes. docs/decisions/tables.md.
// Leaves to others: how fast tables are (machine/profile.h), what a table is (backend/).
#pragma once

#include <string>

#include "ollm/backend/options.h"
#include "ollm/machine/machine.h"

namespace ollm::plan {

struct TableChoice {
  backend::Isa isa = backend::Isa::scalar;
  std::string because;  // with the figures, where there are some
};

/// The fastest by the profile's products of many rows; where it lacks those, by what is known of
/// the processor.
TableChoice choose_table(const machine::Machine& machine, backend::ComputeMode mode);

}  // namespace ollm::plan
