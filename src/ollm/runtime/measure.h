// Measuring a machine that is a value, so that tests can take tables from it.
// Leaves to others: keeping the profile (ollm.h: measure_machine).
#pragma once

#include "ollm/base/callback.h"
#include "ollm/base/result.h"
#include "ollm/doctor.h"
#include "ollm/machine/machine.h"
#include "ollm/machine/profile.h"
#include "ollm/ollm.h"

namespace ollm::runtime {

/// What `machine`, which is this one with perhaps fewer tables, reaches, by rounds of about
/// `round_seconds`. Errors: those of measure_machine.
Result<machine::Profile> measure(const MeasureOptions& options, const machine::Machine& machine,
                                 double round_seconds, OnProgress on_progress,
                                 const CancellationToken& cancel);

}  // namespace ollm::runtime
