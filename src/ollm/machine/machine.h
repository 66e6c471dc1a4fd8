// The machine that a plan is made for: a value, so that plans can be made for any machine.
// Leaves to others: measuring its rates (profile.h), what is chosen for it (plan/).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/backend/backend.h"
#include "ollm/backend/options.h"
#include "ollm/io/system_calls.h"
#include "ollm/machine/cgroup.h"
#include "ollm/machine/profile.h"

namespace ollm::machine {

struct Machine {
  std::string cpu_model;              // "AMD EPYC"
  std::size_t cores = 1;              // that this process may use: affinity and cgroup quota
  std::size_t affinity_cores = 1;     // of those alone that it may be put on
  std::uint64_t total_bytes = 0;      // of memory
  std::uint64_t available_bytes = 0;  // what it leaves now, a cgroup's limit included
  std::string available_from;  // what binds them: "the machine", a control group and its limit
  CgroupLimits cgroup;
  backend::CpuVendor cpu_vendor = backend::CpuVendor::other;
  std::vector<backend::Isa> isas;  // slowest first
  bool io_uring = false;           // whether this process may use it
  bool huge_pages = false;         // whether memory may come in pages of 2 MiB
  std::optional<Profile> profile;  // what was measured of it, if anything

  /// Reads /proc and the cgroup files, v1 and v2; what cannot be read is left at its default. The
  /// profile is left out: which folder it lies in is the environment's.
  static Machine detect(io::SystemCalls& calls = io::posix());
};

/// A field of /proc/meminfo in bytes; 0 where it is not there.
std::uint64_t meminfo_bytes(std::string_view meminfo, std::string_view field);

}  // namespace ollm::machine
