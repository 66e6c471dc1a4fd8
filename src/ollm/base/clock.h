// Seconds of a clock that never goes back. Leaves to others: dates and the age of the process
// (runtime/process.h).
#pragma once

namespace ollm {

/// For differences only: seconds since an unknown moment.
double monotonic_seconds();

}  // namespace ollm
