#include "ollm/machine/cgroup.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "ollm/base/checked_math.h"
#include "ollm/io/file.h"
#include "ollm/machine/text_lines.h"

namespace ollm::machine {
namespace {

constexpr std::uint64_t kSmallFileBytes = 1 << 20;
constexpr const char* kUnifiedRoot = "/sys/fs/cgroup";
constexpr const char* kMemoryRoot = "/sys/fs/cgroup/memory";
constexpr const char* kCpuRoot = "/sys/fs/cgroup/cpu";

std::string read(const std::string& path, io::SystemCalls& calls) {
  Result<std::string> text = io::read_whole_file(path, kSmallFileBytes, calls);
  return text.ok() ? std::move(text).value() : std::string();
}

// Calls `use` with the folder of each group from the process's own up to the root.
template <typename Use>
void for_each_group(const char* root, std::string path, Use use) {
  while (!path.empty() && path != "/") {
    use(root + path);
    path.resize(path.rfind('/'));
  }
  use(std::string(root));
}

class Tightest {
 public:
  explicit Tightest(io::SystemCalls& calls) : calls_(calls) {}

  // What the page cache holds counts as used, but is given up when somebody needs memory.
  void memory(const std::string& group, const char* limit_file, const char* used_file) {
    const std::uint64_t limit = cgroup_bytes(read(group + limit_file, calls_));
    if (limit == 0) return;
    const std::uint64_t usage = leading_number(read(group + used_file, calls_)).value_or(0);
    const std::uint64_t reclaimable =
        std::min(usage, cgroup_reclaimable_bytes(read(group + "/memory.stat", calls_)));
    const std::uint64_t used = usage - reclaimable;
    const std::uint64_t left = limit - std::min(limit, used);
    if (left >= least_left_) return;
    least_left_ = left;
    out_.memory_bytes = limit;
    out_.used_bytes = used;
    out_.reclaimable_bytes = reclaimable;
    out_.memory_group = group;
  }

  void cores(const std::string& quota_and_period) {
    const std::size_t quota = cgroup_cores(quota_and_period);
    if (quota != 0 && (out_.quota_cores == 0 || quota < out_.quota_cores)) out_.quota_cores = quota;
  }

  CgroupLimits& limits() { return out_; }

 private:
  io::SystemCalls& calls_;
  std::uint64_t least_left_ = std::numeric_limits<std::uint64_t>::max();
  CgroupLimits out_;
};

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace

CgroupLimits cgroup_limits(io::SystemCalls& calls) {
  const std::string groups = read("/proc/self/cgroup", calls);
  Tightest tightest(calls);
  if (const std::string path = cgroup_path(groups, ""); !path.empty()) {
    tightest.limits().v2 = true;
    for_each_group(kUnifiedRoot, path, [&](const std::string& group) {
      tightest.memory(group, "/memory.max", "/memory.current");
      // Above it the kernel slows the group down until it has given memory up: no place to run in.
      tightest.memory(group, "/memory.high", "/memory.current");
      tightest.cores(read(group + "/cpu.max", calls));
    });
  }
  if (const std::string path = cgroup_path(groups, "memory"); !path.empty()) {
    tightest.limits().v1 = true;
    for_each_group(kMemoryRoot, path, [&](const std::string& group) {
      tightest.memory(group, "/memory.limit_in_bytes", "/memory.usage_in_bytes");
    });
  }
  if (const std::string path = cgroup_path(groups, "cpu"); !path.empty()) {
    tightest.limits().v1 = true;
    for_each_group(kCpuRoot, path, [&](const std::string& group) {
      tightest.cores(first_line(read(group + "/cpu.cfs_quota_us", calls)) + " " +
                     read(group + "/cpu.cfs_period_us", calls));
    });
  }
  return tightest.limits();
}

std::uint64_t cgroup_bytes(std::string_view text) {
  const std::uint64_t bytes = leading_number(text).value_or(0);
  return bytes > (std::uint64_t{1} << 60) ? 0 : bytes;
}

std::uint64_t cgroup_reclaimable_bytes(std::string_view memory_stat) {
  // Of version 1 the group's own figures and, as total_*, those of the groups below it too, which
  // its usage counts; version 2 has the latter alone, under the former's names.
  struct Figures {
    std::uint64_t inactive_file = 0, active_file = 0, slab_reclaimable = 0;
  };
  Figures own, total;
  bool has_total = false;
  for_each_line(memory_stat, [&](std::string_view line) {
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos) return;
    std::string_view name = line.substr(0, space);
    const std::uint64_t bytes = leading_number(line.substr(space)).value_or(0);
    const bool of_all = name.starts_with("total_");
    if (of_all) name.remove_prefix(6);
    Figures& figures = of_all ? total : own;
    if (name == "inactive_file") figures.inactive_file = bytes;
    if (name == "active_file") figures.active_file = bytes;
    if (name == "slab_reclaimable") figures.slab_reclaimable = bytes;
    has_total = has_total || (of_all && name == "inactive_file");
  });
  const Figures& figures = has_total ? total : own;
  const auto sum = checked_add(figures.inactive_file, figures.active_file);
  const auto all = sum ? checked_add(*sum, figures.slab_reclaimable) : std::nullopt;
  return all.value_or(0);  // nonsense frees nothing
}

std::size_t cgroup_cores(std::string_view cpu_max) {
  const std::size_t space = cpu_max.find(' ');
  if (space == std::string_view::npos) return 0;
  const auto quota = leading_number(cpu_max.substr(0, space));  // "max" and -1 are no numbers
  const auto period = leading_number(cpu_max.substr(space + 1));
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
    const std::string_view path = line.substr(second + 1);
    if (match && path.starts_with('/')) found = path;
  });
  return found;
}

}  // namespace ollm::machine
