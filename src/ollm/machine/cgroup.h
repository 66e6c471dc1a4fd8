// What the control groups of this process allow it, of version 1 and 2: memory and processor time.
// Leaves to others: what the machine itself has (machine.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "ollm/io/system_calls.h"

namespace ollm::machine {

struct CgroupLimits {
  bool v1 = false;                      // hierarchies of version 1 are mounted for memory or cpu
  bool v2 = false;                      // the unified hierarchy is
  std::uint64_t memory_bytes = 0;       // of the group that leaves least; 0: no limit
  std::uint64_t used_bytes = 0;         // of that group, without what it can be made to give up
  std::uint64_t reclaimable_bytes = 0;  // that: page cache and the like
  std::string memory_group = {};        // its folder, "/sys/fs/cgroup/jobs/mine"
  std::size_t quota_cores = 0;          // rounded up; 0: no quota

  friend bool operator==(const CgroupLimits&, const CgroupLimits&) = default;
};

/// The tightest limits from the process's own group up to the root of each hierarchy: a group is
/// held to those of its parents, and in a container the group's own folder may not be there at all
/// while its limits stand in the root. What cannot be read is no limit.
CgroupLimits cgroup_limits(io::SystemCalls& calls);

/// A limit as cgroup files write it: "max" (v2) and anything above 2^60 (v1) is 0, none.
std::uint64_t cgroup_bytes(std::string_view text);

/// Bytes of a group that the kernel takes back when memory is short, from the text of its
/// memory.stat, of either version: file pages and reclaimable slab, of the groups below it too.
/// Shared memory and locked pages are not among them.
std::uint64_t cgroup_reclaimable_bytes(std::string_view memory_stat);

/// Cores of a quota: "max 100000" (v2) is 0, none; "150000 100000" is 2, rounded up.
std::size_t cgroup_cores(std::string_view cpu_max);

/// The path of this process in a hierarchy, from the text of /proc/self/cgroup: `controller` is
/// "memory" or "cpu" for v1, "" for v2. Empty where it is not there.
std::string cgroup_path(std::string_view proc_self_cgroup, std::string_view controller);

}  // namespace ollm::machine
