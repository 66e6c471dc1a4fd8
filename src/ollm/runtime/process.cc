#include "ollm/runtime/process.h"

#include <time.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include "ollm/io/file.h"
#include "ollm/machine/machine.h"

namespace ollm::runtime {
namespace {

constexpr std::uint64_t kSmallFileBytes = 1 << 16;

// On the clock of start_seconds, which goes on while the machine sleeps.
double seconds_since_boot() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// Field 22 of /proc/self/stat: ticks between boot and the start of the process. The second field is
// the program's name in brackets and may hold spaces, so that one counts from the last bracket.
double start_seconds() {
  const auto text = io::read_whole_file("/proc/self/stat", kSmallFileBytes);
  if (!text.ok()) return seconds_since_boot();
  std::size_t at = text->rfind(')');
  for (int field = 2; field < 22 && at != std::string::npos; ++field) at = text->find(' ', at + 1);
  if (at == std::string::npos) return seconds_since_boot();
  return std::strtod(text->c_str() + at + 1, nullptr) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

}  // namespace

double process_seconds() { return seconds_since_boot() - start_seconds(); }

std::uint64_t peak_resident_bytes() {
  const auto text = io::read_whole_file("/proc/self/status", kSmallFileBytes);
  return text.ok() ? machine::meminfo_bytes(*text, "VmHWM") : 0;
}

}  // namespace ollm::runtime
