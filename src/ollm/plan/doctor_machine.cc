// What `ollm doctor` says of processor, memory and accelerators.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>
#include <utility>

#include "ollm/base/text_size.h"
#include "ollm/io/file.h"
#include "ollm/machine/text_lines.h"
#include "ollm/plan/doctor_sections.h"

namespace ollm::plan {
namespace {

constexpr std::uint64_t kSmallFileBytes = 1 << 16;
constexpr std::size_t kMaxGpus = 1024;
// The process alone takes some 16 MiB; below this little is left for a model.
constexpr std::uint64_t kLittleMemoryBytes = std::uint64_t{1} << 30;

constexpr const char* kHugePages = "/sys/kernel/mm/transparent_hugepage/enabled";
constexpr const char* kNvidiaDriver = "/proc/driver/nvidia";

std::string read(const std::string& path, io::SystemCalls& calls) {
  Result<std::string> text = io::read_whole_file(path, kSmallFileBytes, calls);
  return text.ok() ? std::move(text).value() : std::string();
}

// The word in brackets of "always [madvise] never"; empty where there is none.
std::string chosen_word(std::string_view text) {
  const std::size_t open = text.find('[');
  const std::size_t close = text.find(']', open == std::string_view::npos ? 0 : open);
  if (open == std::string_view::npos || close == std::string_view::npos) return {};
  return std::string(text.substr(open + 1, close - open - 1));
}

DoctorCheck instruction_sets(const machine::Machine& machine) {
  DoctorCheck check{.name = "cpu:instruction-sets"};
  std::vector<std::string_view> names;
  for (const backend::Isa isa : machine.isas) names.push_back(to_string(isa));
  const std::string list = fmt::format("{}", fmt::join(names, ", "));
  check.details.set("instruction_sets", list);
  check.message = list.empty() ? "none" : list;
  const bool vectors = machine.isas.size() > 1;
  if (!vectors) {
    check.status = DoctorStatus::warn;
    check.message += ": neither AVX2 nor AVX-512, so everything will be slow";
    check.advice =
        "use a processor with AVX2 and FMA; a virtual machine may hide them: give it the "
        "host's processor type";
  }
  return check;
}

DoctorCheck cores(const machine::Machine& machine) {
  DoctorCheck check{.name = "cpu:cores"};
  check.message = fmt::format("{} to compute on", machine.cores);
  check.details.set("cores", fmt::format("{}", machine.cores));
  check.details.set("affinity_cores", fmt::format("{}", machine.affinity_cores));
  check.details.set("quota_cores", machine.cgroup.quota_cores == 0
                                       ? "none"
                                       : fmt::format("{}", machine.cgroup.quota_cores));
  if (machine.cgroup.quota_cores != 0 && machine.cgroup.quota_cores < machine.affinity_cores) {
    check.message +=
        fmt::format(" of {}: a control group's quota allows no more", machine.affinity_cores);
  }
  return check;
}

DoctorCheck total_memory(const machine::Machine& machine) {
  DoctorCheck check{.name = "memory:total"};
  check.details.set("total_bytes", fmt::format("{}", machine.total_bytes));
  check.details.set("available_bytes", fmt::format("{}", machine.available_bytes));
  if (machine.total_bytes == 0) {
    check.status = DoctorStatus::fail;
    check.message = "/proc/meminfo does not tell";
    check.advice = "mount /proc, or say with --memory how much may be used";
    return check;
  }
  check.message = fmt::format("{}, of which {} are left", format_bytes(machine.total_bytes),
                              format_bytes(machine.available_bytes));
  if (machine.available_bytes < kLittleMemoryBytes) {
    check.status = DoctorStatus::warn;
    check.advice = "end other programs, or raise the limit of the control group";
  }
  return check;
}

DoctorCheck memory_limit(const machine::Machine& machine) {
  DoctorCheck check{.name = "memory:limit"};
  const machine::CgroupLimits& cgroup = machine.cgroup;
  check.details.set("cgroup_version", cgroup.v1 && cgroup.v2 ? "1 and 2"
                                      : cgroup.v2            ? "2"
                                      : cgroup.v1            ? "1"
                                                             : "none");
  if (cgroup.memory_bytes == 0) {
    check.message = "no control group limits it";
    return check;
  }
  check.details.set("limit_bytes", fmt::format("{}", cgroup.memory_bytes));
  check.details.set("used_bytes", fmt::format("{}", cgroup.used_bytes));
  check.details.set("reclaimable_bytes", fmt::format("{}", cgroup.reclaimable_bytes));
  check.details.set("group", cgroup.memory_group);
  check.message = fmt::format(
      "the control group {} allows {}, of which {} are used; {} more are page cache, which gives "
      "way",
      cgroup.memory_group, format_bytes(cgroup.memory_bytes), format_bytes(cgroup.used_bytes),
      format_bytes(cgroup.reclaimable_bytes));
  return check;
}

DoctorCheck huge_pages(io::SystemCalls& calls) {
  DoctorCheck check{.name = "memory:huge-pages"};
  const std::string mode = chosen_word(read(kHugePages, calls));
  check.details.set("transparent_hugepage", mode.empty() ? "unknown" : mode);
  if (mode == "always" || mode == "madvise") {
    check.message = fmt::format("transparent huge pages: {}", mode);
    return check;
  }
  check.status = DoctorStatus::warn;
  check.message = mode.empty() ? fmt::format("{} does not tell", kHugePages)
                               : fmt::format("transparent huge pages: {}", mode);
  check.message += "; reads from disk into small pages cost more";
  check.advice = fmt::format("as root: echo madvise > {}", kHugePages);
  return check;
}

}  // namespace

void check_cpu(const DoctorInputs& inputs, std::vector<DoctorCheck>& out) {
  DoctorCheck model{.name = "cpu:model"};
  model.message = inputs.machine.cpu_model.empty() ? "unknown" : inputs.machine.cpu_model;
  out.push_back(std::move(model));
  out.push_back(instruction_sets(inputs.machine));
  out.push_back(cores(inputs.machine));
}

void check_memory(const DoctorInputs& inputs, std::vector<DoctorCheck>& out) {
  out.push_back(total_memory(inputs.machine));
  out.push_back(memory_limit(inputs.machine));
  out.push_back(huge_pages(*inputs.calls));
}

void check_gpu(const DoctorInputs& inputs, std::vector<DoctorCheck>& out) {
  DoctorCheck check{.name = "gpu:nvidia"};
  std::vector<std::string> gpus;
  const std::string folder = std::string(kNvidiaDriver) + "/gpus";
  if (inputs.calls->list(folder.c_str(), kMaxGpus, &gpus) != 0) gpus.clear();
  std::vector<std::string> models;
  for (const std::string& gpu : gpus) {
    machine::for_each_line(
        read(fmt::format("{}/{}/information", folder, gpu), *inputs.calls),
        [&](std::string_view line) {
          if (!line.starts_with("Model:")) return;
          line.remove_prefix(std::min(line.find_first_not_of(" \t", 6), line.size()));
          models.emplace_back(line);
        });
  }
  check.details.set("count", fmt::format("{}", gpus.size()));
  check.details.set("models", fmt::format("{}", fmt::join(models, ", ")));
  struct stat status{};
  const bool device = inputs.calls->stat("/dev/nvidia0", &status) == 0;
  if (gpus.empty()) {
    check.message = "none; models run on the processor";
    if (device) {
      check.status = DoctorStatus::warn;
      check.message = "/dev/nvidia0 is there, but no driver of it is loaded";
      check.advice = "load the driver: modprobe nvidia";
    }
  } else {
    check.message = fmt::format("{} found ({}); this build computes on the processor alone",
                                gpus.size(), fmt::join(models, ", "));
    if (!device) {
      check.status = DoctorStatus::warn;
      check.message += "; /dev/nvidia0 is not there";
      check.advice = "give the container its devices: docker run --gpus all";
    }
  }
  out.push_back(std::move(check));
}

}  // namespace ollm::plan
