// What `ollm doctor` says of the folder for stored keys and values: whether runs may store in it,
// what they may keep, and whether its file system gives back parts of files. Leaves to others: the
// rest of the file system under it (doctor_storage.cc).
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <utility>

#include "ollm/base/text_size.h"
#include "ollm/io/private_folder.h"
#include "ollm/io/punch_probe.h"
#include "ollm/kv/disk_room.h"
#include "ollm/kv/pool.h"
#include "ollm/plan/doctor_sections.h"
#include "ollm/settings/cache_folder.h"

namespace ollm::plan {
namespace {

namespace fs = std::filesystem;

class CacheDoctor {
 public:
  CacheDoctor(const DoctorInputs& inputs, fs::path folder)
      : inputs_(inputs), calls_(*inputs.calls), folder_(std::move(folder)) {
    check_.name = "cache:kv";
    check_.message = folder_.string();
  }

  DoctorCheck run() {
    struct stat status{};
    const bool there = calls_.lstat(folder_.c_str(), &status) == 0;
    check_.details.set("path", folder_.string());
    check_.details.set("exists", there ? "true" : "false");
    if (there) check_.details.set("mode", fmt::format("{:04o}", status.st_mode & 07777U));
    if (there) {
      if (const Result<void> ours = io::open_private_folder(folder_, calls_); !ours.ok()) {
        check_.status = DoctorStatus::fail;
        check_.message = fmt::format("runs store nothing: {}", ours.error().message);
        check_.advice =
            "a folder of your own with mode 700, another one by --cache-dir, or --no-cache";
        return std::move(check_);
      }
    } else {
      check_.message += " is not there yet; it is made when it is needed";
    }
    // Of what is not there yet, the file system is that of the folder above it.
    fs::path existing = folder_;
    while (!io::is_directory(existing, calls_) && existing.has_relative_path())
      existing = existing.parent_path();
    add_room(existing);
    add_punching(existing);
    return std::move(check_);
  }

 private:
  void warn(const std::string& message, const std::string& advice) {
    if (check_.status == DoctorStatus::ok) check_.status = DoctorStatus::warn;
    check_.message += message;
    if (!check_.advice.empty()) check_.advice += "; ";
    check_.advice += advice;
  }

  void add_room(const fs::path& existing) {
    const auto cap = inputs_.settings.runtime.kv_cache_max_bytes.value_or(0);
    const Result<kv::DiskRoom> room = kv::disk_room(existing, static_cast<std::uint64_t>(cap),
                                                    kv::PoolOptions().free_share, calls_);
    if (!room.ok()) {
      warn(fmt::format(", how much it may hold is not known ({})", room.error().message),
           "see that the folder can be read");
      return;
    }
    check_.details.set("stored_bytes", fmt::format("{}", room->used_bytes));
    check_.details.set("cap_bytes", fmt::format("{}", room->cap_bytes));
    check_.details.set("free_bytes", fmt::format("{}", room->free_bytes));
    check_.message += fmt::format(", {} of at most {} stored", format_bytes(room->used_bytes),
                                  format_bytes(room->cap_bytes));
    if (room->left() == 0 && room->used_bytes < room->cap_bytes)
      warn(", and the disk is too full to keep more", "make room, or name another --cache-dir");
  }

  void add_punching(const fs::path& existing) {
    const Result<void> punch = io::probe_punch_in_folder(existing, calls_);
    if (!punch.ok() && punch.error().kind == ErrorKind::io) {
      check_.details.set("gives_back_parts", "unknown");
      warn(fmt::format(", nothing can be stored ({})", punch.error().message),
           "name a folder that may be written to with --cache-dir, or --no-cache");
      return;
    }
    check_.details.set("gives_back_parts", punch.ok() ? "true" : "false");
    if (!punch.ok()) {
      warn(", its file system gives back whole files only, so that old blocks go by the gibibyte",
           "a file system that punches holes (ext4, xfs, btrfs)");
    }
  }

  const DoctorInputs& inputs_;
  io::SystemCalls& calls_;
  const fs::path folder_;
  DoctorCheck check_;
};

}  // namespace

void check_cache(const DoctorInputs& inputs, std::vector<DoctorCheck>& out) {
  if (!inputs.settings.runtime.use_cache) return;
  const auto cache = settings::cache_folder(inputs.settings.runtime, inputs.environment);
  if (!cache.ok()) {
    out.push_back({.name = "cache:kv",
                   .status = DoctorStatus::fail,
                   .message = cache.error().message,
                   .advice = "name a folder with --cache-dir, or --no-cache"});
    return;
  }
  out.push_back(CacheDoctor(inputs, *cache / "kv").run());
}

}  // namespace ollm::plan
