#include "ollm/machine/machine.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>

#include "ollm/backend/backend.h"
#include "ollm/base/text_size.h"
#include "ollm/io/async_reads.h"
#include "ollm/io/file.h"
#include "ollm/machine/text_lines.h"

namespace ollm::machine {
namespace {

constexpr std::uint64_t kSmallFileBytes = 1 << 20;

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

std::size_t allowed_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return static_cast<std::size_t>(std::max(1, CPU_COUNT(&set)));
}

}  // namespace

std::uint64_t meminfo_bytes(std::string_view meminfo, std::string_view field) {
  std::uint64_t bytes = 0;
  for_each_line(meminfo, [&](std::string_view line) {
    if (line.size() > field.size() && line.starts_with(field) && line[field.size()] == ':')
      bytes = leading_number(line.substr(field.size() + 1)).value_or(0) * 1024;
  });
  return bytes;
}

Machine Machine::detect(io::SystemCalls& calls) {
  Machine machine;
  machine.cpu_model = cpu_model_of(read("/proc/cpuinfo", calls));
  machine.affinity_cores = allowed_cores();
  machine.cgroup = cgroup_limits(calls);
  machine.cores = machine.affinity_cores;
  if (machine.cgroup.quota_cores != 0)
    machine.cores = std::min(machine.cores, machine.cgroup.quota_cores);
  const std::string meminfo = read("/proc/meminfo", calls);
  machine.total_bytes = meminfo_bytes(meminfo, "MemTotal");
  machine.available_bytes = meminfo_bytes(meminfo, "MemAvailable");
  machine.available_from = "the machine";
  if (const CgroupLimits& cgroup = machine.cgroup; cgroup.memory_bytes != 0) {
    machine.total_bytes = std::min(machine.total_bytes, cgroup.memory_bytes);
    const std::uint64_t left =
        cgroup.memory_bytes - std::min(cgroup.memory_bytes, cgroup.used_bytes);
    const bool unknown = machine.available_bytes == 0;
    if (unknown || left < machine.available_bytes) {
      machine.available_bytes = left;
      machine.available_from = fmt::format("the control group {}, limited to {},",
                                           cgroup.memory_group, format_bytes(cgroup.memory_bytes));
    }
  }
  machine.cpu_vendor = backend::cpu_vendor();
  const auto isas = backend::supported_isas();
  machine.isas.assign(isas.begin(), isas.end());
  machine.io_uring = io::io_uring_allowed();
  // "always [madvise] never": the one in brackets counts.
  const std::string huge = read("/sys/kernel/mm/transparent_hugepage/enabled", calls);
  machine.huge_pages =
      huge.find("[always]") != std::string::npos || huge.find("[madvise]") != std::string::npos;
  return machine;
}

}  // namespace ollm::machine
