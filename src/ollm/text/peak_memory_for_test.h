// How much more memory was resident at most than at a moment before, for tests of bounds.
// Leaves to others: what is measured.
#pragma once

#include <malloc.h>
#include <unistd.h>

#include <cstddef>
#include <fstream>
#include <string>

namespace ollm::text {

/// Starts the system's count of peak memory anew. Other threads count along.
class PeakMemory {
 public:
  PeakMemory() {
    ::malloc_trim(0);
    std::ofstream("/proc/self/clear_refs") << "5";
    before_ = bytes_of("VmRSS:");
  }
  /// Zero where the system does not tell.
  std::size_t grown_bytes() const {
    const std::size_t peak = bytes_of("VmHWM:");
    return peak > before_ ? peak - before_ : 0;
  }
  /// Whether a count begun anew really is: not in every container.
  static bool is_available() {
    std::ofstream out("/proc/self/clear_refs");
    out << "5" << std::flush;
    return out.good();
  }

 private:
  static std::size_t bytes_of(const std::string& field) {
    std::ifstream status("/proc/self/status");
    for (std::string name; status >> name;) {
      std::size_t kib = 0;
      if (name == field && status >> kib) return kib * 1024;
    }
    return 0;
  }

  std::size_t before_ = 0;
};

}  // namespace ollm::text
