// What the operating system knows of this process: its age and its peak memory.
#pragma once

#include <cstdint>

namespace ollm::runtime {

/// Seconds since the process was started, to 0.01.
double process_seconds();

/// VmHWM: the most memory that the process ever had resident; 0 where the system does not tell.
std::uint64_t peak_resident_bytes();

}  // namespace ollm::runtime
