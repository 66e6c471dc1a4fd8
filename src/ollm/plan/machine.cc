#include "ollm/plan/machine.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

#include "ollm/backend/backend.h"
#include "ollm/io/async_reads.h"
#include "ollm/io/file.h"

namespace ollm::plan {
namespace {

constexpr std::uint64_t kSmallFileBytes = 1 << 20;

// The lines of a text, one after the other.
template <typename Use>
void for_each_line(std::string_view text, Use use) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    use(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

std::optional<std::uint64_t> number(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  return value;
}

std::string read(const std::string& path, io::SystemCalls& calls) {
  Result<std::string> text = io::read_whole_file(path, kSmallFileBytes, calls);
  return text.ok() ? std::move(text).value() : std::string();
}

std::string cpu_model_of(std::string_view cpuinfo) {
  std::string model;
  for_each_line(cpuinfo, [&](std::string_view line) {
    if (!model.empty() || !line.starts_with("model name")) return;
    const std::size_t colon = line.find(": ");
    if (colon != std::string_view::npos) model = line.substr(colon + 2);
  });
  return model;
}

struct CgroupMemory {
  std::uint64_t limit = 0;  // 0: none
  std::uint64_t used = 0;
};

// The tightest limit from the process's own group up to the root of its hierarchy.
CgroupMemory cgroup_memory(std::string_view proc_self_cgroup, io::SystemCalls& calls) {
  struct Hierarchy {
    const char* root;
    const char* controller;
    const char* limit_file;
    const char* used_file;
  };
  constexpr Hierarchy kHierarchies[] = {
      {"/sys/fs/cgroup", "", "memory.max", "memory.current"},
      {"/sys/fs/cgroup/memory", "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"}};
  CgroupMemory tightest;
  std::uint64_t least_left = std::numeric_limits<std::uint64_t>::max();
  for (const Hierarchy& hierarchy : kHierarchies) {
    std::string path = cgroup_path(proc_self_cgroup, hierarchy.controller);
    if (path.empty()) continue;
    for (;;) {
      const std::string folder = hierarchy.root + (path == "/" ? std::string() : path);
      const std::uint64_t limit = cgroup_bytes(read(folder + "/" + hierarchy.limit_file, calls));
      if (limit != 0) {
        const std::uint64_t used =
            number(read(folder + "/" + hierarchy.used_file, calls)).value_or(0);
        const std::uint64_t left = limit - std::min(limit, used);
        if (left < least_left) {
          least_left = left;
          tightest = {limit, used};
        }
      }
      if (path == "/" || path.empty()) break;
      path.resize(path.rfind('/'));
      if (path.empty()) path = "/";
    }
  }
  return tightest;
}

std::size_t usable_cores(std::string_view proc_self_cgroup, io::SystemCalls& calls) {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::size_t cores = 1;
  if (::sched_getaffinity(0, sizeof set, &set) == 0)
    cores = static_cast<std::size_t>(std::max(1, CPU_COUNT(&set)));
  const std::string v2 = cgroup_path(proc_self_cgroup, "");
  if (!v2.empty()) {
    const std::size_t quota =
        cgroup_cores(read("/sys/fs/cgroup" + (v2 == "/" ? std::string() : v2) + "/cpu.max", calls));
    if (quota != 0) cores = std::min(cores, quota);
  }
  const std::string v1 = cgroup_path(proc_self_cgroup, "cpu");
  if (!v1.empty()) {
    const std::string folder = "/sys/fs/cgroup/cpu" + (v1 == "/" ? std::string() : v1);
    const std::string quota = read(folder + "/cpu.cfs_quota_us", calls);
    const std::string period = read(folder + "/cpu.cfs_period_us", calls);
    const std::size_t limit = cgroup_cores(quota.substr(0, quota.find('\n')) + " " + period);
    if (limit != 0) cores = std::min(cores, limit);
  }
  return cores;
}

}  // namespace

std::uint64_t meminfo_bytes(std::string_view meminfo, std::string_view field) {
  std::uint64_t bytes = 0;
  for_each_line(meminfo, [&](std::string_view line) {
    if (line.size() > field.size() && line.starts_with(field) && line[field.size()] == ':')
      bytes = number(line.substr(field.size() + 1)).value_or(0) * 1024;
  });
  return bytes;
}

std::uint64_t cgroup_bytes(std::string_view text) {
  const std::uint64_t bytes = number(text).value_or(0);
  return bytes > (std::uint64_t{1} << 60) ? 0 : bytes;
}

std::size_t cgroup_cores(std::string_view cpu_max) {
  const std::size_t space = cpu_max.find(' ');
  if (space == std::string_view::npos) return 0;
  const auto quota = number(cpu_max.substr(0, space));  // "max" and -1 are no numbers
  const auto period = number(cpu_max.substr(space + 1));
  if (!quota || !period || *period == 0 || *quota == 0) return 0;
  return static_cast<std::size_t>((*quota + *period - 1) / *period);
}

std::string cgroup_path(std::string_view proc_self_cgroup, std::string_view controller) {
  std::string found;
  for_each_line(proc_self_cgroup, [&](std::string_view line) {  // "4:memory:/user/group"
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) return;
    std::string_view names = line.substr(first + 1, second - first - 1);
    bool match = controller.empty() && names.empty();
    while (!controller.empty() && !names.empty()) {
      const std::size_t comma = std::min(names.find(','), names.size());
      match = match || names.substr(0, comma) == controller;
      names.remove_prefix(std::min(comma + 1, names.size()));
    }
    if (match) found = line.substr(second + 1);
  });
  return found;
}

Machine Machine::detect(io::SystemCalls& calls) {
  Machine machine;
  machine.cpu_model = cpu_model_of(read("/proc/cpuinfo", calls));
  const std::string cgroups = read("/proc/self/cgroup", calls);
  machine.cores = usable_cores(cgroups, calls);
  const std::string meminfo = read("/proc/meminfo", calls);
  machine.total_bytes = meminfo_bytes(meminfo, "MemTotal");
  machine.available_bytes = meminfo_bytes(meminfo, "MemAvailable");
  const CgroupMemory cgroup = cgroup_memory(cgroups, calls);
  machine.cgroup_limit_bytes = cgroup.limit;
  if (cgroup.limit != 0) {
    machine.total_bytes = std::min(machine.total_bytes, cgroup.limit);
    machine.available_bytes =
        std::min(machine.available_bytes, cgroup.limit - std::min(cgroup.limit, cgroup.used));
  }
  const auto isas = backend::supported_isas();
  machine.isas.assign(isas.begin(), isas.end());
  machine.io_uring = io::io_uring_allowed();
  // "always [madvise] never": the one in brackets counts.
  const std::string huge = read("/sys/kernel/mm/transparent_hugepage/enabled", calls);
  machine.huge_pages =
      huge.find("[always]") != std::string::npos || huge.find("[madvise]") != std::string::npos;
  return machine;
}

}  // namespace ollm::plan
