// What `ollm doctor` says of the folders for models and cache, the file systems under them, and
// how they can be read.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <string>
#include <utility>

#include "ollm/base/text_size.h"
#include "ollm/hub/cache.h"
#include "ollm/io/file.h"
#include "ollm/io/read_probes.h"
#include "ollm/machine/mounts.h"
#include "ollm/plan/doctor_sections.h"
#include "ollm/settings/cache_folder.h"

namespace ollm::plan {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMountinfoBytes = 16u << 20;
constexpr std::uint64_t kSmallFileBytes = 1 << 12;
constexpr std::size_t kMaxEntries = 10'000;
constexpr int kSearchDepth = 3;            // models--org--name/snapshots/commit/file
constexpr std::size_t kSearchTries = 256;  // entries looked at, all in all
constexpr std::uint64_t kLittleSpaceBytes = std::uint64_t{1} << 30;

constexpr std::array<std::string_view, 9> kRemote{"nfs",  "nfs4", "cifs", "smb3",    "9p",
                                                  "ceph", "fuse", "afs",  "virtiofs"};
constexpr std::array<std::string_view, 2> kInMemory{"tmpfs", "ramfs"};

template <std::size_t N>
bool is_one_of(std::string_view type, const std::array<std::string_view, N>& types) {
  // "fuse.sshfs" is of "fuse".
  const std::string_view family = type.substr(0, type.find('.'));
  for (const std::string_view one : types)
    if (family == one) return true;
  return false;
}

// A folder that commands read or write, and what its absence means.
struct Folder {
  std::string name = {};  // "models-dir"
  fs::path path = {};
  std::string field = {};  // the setting that names it; empty for the hub's cache
  bool given = false;      // by the user
  bool written = false;    // made where it is missing
};

class FolderDoctor {
 public:
  FolderDoctor(const DoctorInputs& inputs, std::vector<DoctorCheck>& out)
      : calls_(*inputs.calls), out_(out) {
    auto text = io::read_whole_file("/proc/self/mountinfo", kMountinfoBytes, calls_);
    if (text.ok()) mountinfo_ = std::move(text).value();
  }

  void look_at(const Folder& folder) {
    const bool there = io::is_directory(folder.path, calls_);
    out_.push_back(path_check(folder, there));
    // Of what is not there yet, the file system is that of the folder above it.
    fs::path existing = io::resolve_links(folder.path, calls_);
    while (!io::is_directory(existing, calls_) && existing.has_relative_path())
      existing = existing.parent_path();
    out_.push_back(storage_check(folder, existing, there));
  }

 private:
  DoctorCheck path_check(const Folder& folder, bool there) const {
    DoctorCheck check{.name = "path:" + folder.name};
    check.details.set("path", folder.path.string());
    check.details.set("exists", there ? "true" : "false");
    check.message = folder.path.string();
    struct stat status{};
    const bool something = calls_.stat(folder.path.c_str(), &status) == 0;
    if (!there && something) {
      check.status = DoctorStatus::fail;
      check.message += " is no folder";
      check.advice = "move it away, or name another folder";
    } else if (!there && folder.given && !folder.written) {
      check.status = DoctorStatus::fail;
      check.message += fmt::format(" is not there, and {} names it", folder.field);
      check.advice = fmt::format("mkdir -p '{}', or set {}", folder.path.string(), folder.field);
    } else if (!there) {
      check.message += folder.written ? " is not there yet; it is made when it is needed"
                                      : " is not there; nothing is looked for in it";
    } else if (folder.written && (status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
      check.status = DoctorStatus::warn;
      check.message += " may be written by others, and what is kept in it is your text";
      check.advice = fmt::format("chmod 700 '{}'", folder.path.string());
    }
    return check;
  }

  DoctorCheck storage_check(const Folder& folder, const fs::path& existing, bool there) {
    DoctorCheck check{.name = "storage:" + folder.name};
    const auto mount = machine::mount_of(existing, mountinfo_);
    check.details.set("file_system", mount ? mount->type : "unknown");
    check.details.set("device", mount ? mount->source : "unknown");
    check.message = mount ? fmt::format("{} on {}", mount->type, mount->source)
                          : "the file system is not known";
    add_space(folder, existing, check);
    if (mount) judge_kind(*mount, check);
    add_direct_reads(existing, there, check);
    return check;
  }

  void warn(DoctorCheck& check, const std::string& message, const std::string& advice) const {
    check.status = DoctorStatus::warn;
    check.message += message;
    if (!check.advice.empty()) check.advice += "; ";
    check.advice += advice;
  }

  void add_space(const Folder& folder, const fs::path& existing, DoctorCheck& check) {
    struct statvfs space{};
    if (calls_.statvfs(existing.c_str(), &space) != 0) return;
    const std::uint64_t free = std::uint64_t{space.f_bavail} * space.f_frsize;
    check.details.set("free_bytes", fmt::format("{}", free));
    check.message += fmt::format(", {} free", format_bytes(free));
    if (folder.written && free < kLittleSpaceBytes)
      warn(check, ", which is little", "make room, or name another folder with --cache-dir");
  }

  void judge_kind(const machine::Mount& mount, DoctorCheck& check) {
    if (is_one_of(mount.type, kRemote)) {
      warn(check, ", over a network or another program: weights arrive at its speed",
           "keep models on a local disk");
    } else if (is_one_of(mount.type, kInMemory)) {
      warn(check, ", in memory: its files take the memory that the model needs",
           "keep models and cache on a disk");
    }
    // A virtual disk says that it turns, whatever lies below it.
    if (mount.source.starts_with("/dev/vd") || mount.source.starts_with("/dev/xvd")) return;
    for (const char* below : {"queue/rotational", "../queue/rotational"}) {  // disk, partition
      const auto text = io::read_whole_file(
          fmt::format("/sys/dev/block/{}/{}", mount.device, below), kSmallFileBytes, calls_);
      if (!text.ok()) continue;
      const bool rotates = text->starts_with('1');
      check.details.set("rotational", rotates ? "true" : "false");
      if (rotates)
        warn(check, ", a disk that turns: weights are read at its speed", "use an SSD for models");
      break;
    }
  }

  void add_direct_reads(const fs::path& existing, bool there, DoctorCheck& check) {
    std::size_t tries = kSearchTries;
    const fs::path file = there ? any_file(existing, kSearchDepth, tries) : fs::path();
    const Result<void> probe = file.empty() ? io::probe_direct_in_folder(existing, calls_)
                                            : io::probe_direct_read(file, calls_);
    if (probe.ok()) {
      check.details.set("direct_reads", "true");
      check.message += ", direct reads work";
    } else if (probe.error().kind == ErrorKind::unsupported) {
      check.details.set("direct_reads", "false");
      warn(check, ", no direct reads: weights go through the page cache, at more processor time",
           "keep models on a file system with O_DIRECT (ext4, xfs, btrfs)");
    } else {
      check.details.set("direct_reads", "unknown");
      check.message += fmt::format(", direct reads not tried ({})", probe.error().message);
    }
  }

  // A regular file somewhere below a folder; empty where none is found soon.
  fs::path any_file(const fs::path& folder, int depth, std::size_t& tries) {
    std::vector<std::string> names;
    if (calls_.list(folder.c_str(), kMaxEntries, &names) != 0) return {};
    for (const std::string& name : names) {
      if (tries == 0) return {};
      --tries;
      const fs::path path = folder / name;
      struct stat status{};
      if (calls_.stat(path.c_str(), &status) != 0) continue;
      if (S_ISREG(status.st_mode)) return path;
      if (!S_ISDIR(status.st_mode) || depth == 0) continue;
      if (fs::path found = any_file(path, depth - 1, tries); !found.empty()) return found;
    }
    return {};
  }

  io::SystemCalls& calls_;
  std::vector<DoctorCheck>& out_;
  std::string mountinfo_;
};

DoctorCheck io_uring(const DoctorInputs& inputs) {
  DoctorCheck check{.name = "storage:io-uring"};
  const Result<void>& probe = inputs.io_uring;
  check.details.set("io_uring", probe.ok() ? "true" : "false");
  if (probe.ok()) {
    check.message = "allowed";
    return check;
  }
  check.status = DoctorStatus::warn;
  check.message = fmt::format("not allowed: {}; reads go through threads", probe.error().message);
  check.advice =
      "nothing has to be done; to allow it: sysctl kernel.io_uring_disabled=0, and a container's "
      "seccomp profile that lets io_uring through";
  return check;
}

}  // namespace

void check_storage(const DoctorInputs& inputs, std::vector<DoctorCheck>& out) {
  const settings::Settings& settings = inputs.settings;
  FolderDoctor doctor(inputs, out);
  doctor.look_at({.name = "models-dir",
                  .path = io::absolute_path(settings.runtime.models_dir, inputs.environment),
                  .field = "runtime.models_dir",
                  .given = settings.given("runtime.models_dir")});
  if (const auto hub = hub::cache_folder(inputs.environment))
    doctor.look_at({.name = "hub-cache", .path = *hub, .field = "HF_HUB_CACHE"});
  const auto cache = settings::cache_folder(settings.runtime, inputs.environment);
  if (settings.runtime.use_cache && cache.ok()) {
    doctor.look_at({.name = "cache-dir",
                    .path = *cache,
                    .field = "runtime.cache_dir",
                    .given = settings.given("runtime.cache_dir"),
                    .written = true});
  }
  out.push_back(io_uring(inputs));
}

}  // namespace ollm::plan
