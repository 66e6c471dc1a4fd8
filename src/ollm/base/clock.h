// Seconds of clocks that never go back: of time, and of processors. Leaves to others: dates and the
// age of the process (runtime/process.h).
#pragma once

namespace ollm {

/// For differences only: seconds since an unknown moment.
double monotonic_seconds();

/// Seconds of processor time: of the calling thread, and of all threads of this process.
double thread_cpu_seconds();
double process_cpu_seconds();

}  // namespace ollm
