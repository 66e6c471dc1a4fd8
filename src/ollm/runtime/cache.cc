// Stored keys and values behind the front door: the folder that the settings name, and the names of
// models beside the fingerprints that its files have.
#include "ollm/cache.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <nlohmann/json.hpp>
#include <utility>

#include "ollm/base/value_document.h"
#include "ollm/io/environment.h"
#include "ollm/io/file.h"
#include "ollm/io/private_folder.h"
#include "ollm/kv/disk_room.h"
#include "ollm/kv/pool.h"
#include "ollm/kv/pool_tools.h"
#include "ollm/runtime/model_names.h"
#include "ollm/settings/cache_folder.h"

namespace ollm {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kFingerprintDigits = 64;

Result<std::filesystem::path> kv_folder(const Settings& settings) {
  OLLM_TRY(const std::filesystem::path cache,
           settings::cache_folder(settings.runtime, io::Environment::of_process()));
  return cache / "kv";
}

// Whether something may be stored in it; a folder that is not there holds nothing.
// Errors: as list_cache.
Result<bool> may_hold(const std::filesystem::path& folder) {
  struct stat status{};
  if (io::posix().lstat(folder.c_str(), &status) != 0 && errno == ENOENT) return false;
  OLLM_TRY_VOID(io::open_private_folder(folder));
  return true;
}

std::string date(std::int64_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  if (::gmtime_r(&time, &parts) == nullptr) return {};
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", parts);
}

Json or_null(const std::optional<std::string>& text) { return text ? Json(*text) : Json(nullptr); }

std::uint64_t cap_of(const Settings& settings) {
  return static_cast<std::uint64_t>(settings.runtime.kv_cache_max_bytes.value_or(0));
}

// The fingerprints that a reference means: of a model by what it is called, or one of them itself.
// Errors: not_found where nothing is stored of it; those of model_info.
Result<std::vector<Digest>> fingerprints_of(const Settings& settings, const std::string& model,
                                            const std::filesystem::path& folder) {
  Settings named = settings;
  named.runtime.model_reference = model;
  std::string name = model;
  if (model.size() != kFingerprintDigits) {
    OLLM_TRY(const ModelInfo info, model_info(named));
    name = info.runtime_plan.resolved_model().normalized_name;
  }
  const auto names = runtime::ModelNames::read(runtime::ModelNames::path_in(folder), io::posix());
  OLLM_TRY(const std::vector<kv::StoredEntry> stored, kv::list_stored(folder, io::posix()));
  std::vector<Digest> out;
  for (const kv::StoredEntry& entry : stored) {
    if (!entry.fingerprint) continue;
    const std::string hex = entry.fingerprint->hex();
    const std::string* const noted = names.find(hex);
    if (hex == model || (noted != nullptr && *noted == name)) out.push_back(*entry.fingerprint);
  }
  if (!out.empty()) return out;
  return fail(ErrorKind::not_found,
              fmt::format("nothing is stored of '{}'; `ollm cache list` shows what is", name));
}

}  // namespace

std::string CacheList::json() const {
  Json list = Json::array();
  for (const CacheEntry& entry : entries) {
    list.push_back({{"fingerprint", or_null(entry.fingerprint)},
                    {"model", or_null(entry.model)},
                    {"blocks", entry.blocks},
                    {"tokens", entry.tokens},
                    {"bytes", entry.bytes},
                    {"last_used", or_null(entry.last_used)}});
  }
  return json_dump({{"folder", folder.string()},
                    {"bytes", bytes},
                    {"cap_bytes", cap_bytes},
                    {"disk_free_bytes", disk_free_bytes},
                    {"entries", std::move(list)}},
                   kJsonIndent);
}

std::string CacheVerification::json() const {
  return json_dump({{"blocks", blocks}, {"corrupt", corrupt}}, kJsonIndent);
}

std::string CacheFreed::json() const {
  return json_dump({{"freed_bytes", freed_bytes}}, kJsonIndent);
}

Result<CacheList> list_cache(const Settings& settings) {
  CacheList out;
  OLLM_TRY(out.folder, kv_folder(settings));
  OLLM_TRY(const bool there, may_hold(out.folder));
  std::filesystem::path existing = out.folder;
  while (!io::is_directory(existing, io::posix()) && existing.has_relative_path())
    existing = existing.parent_path();
  OLLM_TRY(const kv::DiskRoom room,
           kv::disk_room(existing, cap_of(settings), kv::PoolOptions().free_share, io::posix()));
  out.cap_bytes = room.cap_bytes;
  out.disk_free_bytes = room.free_bytes;
  if (!there) return out;

  out.bytes = room.used_bytes;
  const auto names =
      runtime::ModelNames::read(runtime::ModelNames::path_in(out.folder), io::posix());
  OLLM_TRY(std::vector<kv::StoredEntry> stored, kv::list_stored(out.folder, io::posix()));
  std::ranges::stable_sort(stored, std::ranges::greater(), &kv::StoredEntry::written_s);
  for (const kv::StoredEntry& entry : stored) {
    CacheEntry shown;
    if (entry.fingerprint) {
      shown.fingerprint = entry.fingerprint->hex();
      if (const std::string* const name = names.find(*shown.fingerprint)) shown.model = *name;
    }
    shown.blocks = entry.blocks;
    shown.tokens = entry.tokens;
    shown.bytes = entry.bytes;
    shown.last_used = date(entry.written_s);
    out.entries.push_back(std::move(shown));
  }
  return out;
}

Result<CacheVerification> verify_cache(const Settings& settings, OnProgress on_progress,
                                       const CancellationToken* cancel) {
  static const CancellationToken kNever;
  OLLM_TRY(const std::filesystem::path folder, kv_folder(settings));
  OLLM_TRY(const bool there, may_hold(folder));
  if (!there) return CacheVerification();
  OLLM_TRY(const kv::VerifiedStore found, kv::verify_stored(
                                              folder,
                                              [&](std::uint64_t done, std::uint64_t total) {
                                                if (on_progress)
                                                  on_progress({Stage::verify, done, total});
                                              },
                                              cancel != nullptr ? *cancel : kNever, io::posix()));
  return CacheVerification{found.blocks, found.corrupt};
}

Result<CacheFreed> prune_cache(const Settings& settings, const CachePruning& pruning) {
  if (!pruning.max_bytes && !pruning.older_than_s && !pruning.model)
    return fail(ErrorKind::invalid_argument, "nothing was named that is to go");
  OLLM_TRY(const std::filesystem::path folder, kv_folder(settings));
  OLLM_TRY(const bool there, may_hold(folder));
  if (!there && !pruning.model) return CacheFreed();
  kv::Pruning what;
  what.max_bytes = pruning.max_bytes;
  if (pruning.older_than_s) {
    const auto now = static_cast<std::int64_t>(std::time(nullptr));
    what.written_before_s = now - static_cast<std::int64_t>(*pruning.older_than_s);
  }
  if (pruning.model) {
    OLLM_TRY(what.fingerprints, fingerprints_of(settings, *pruning.model, folder));
  }
  OLLM_TRY(const kv::Freed freed, kv::prune_stored(folder, what, io::posix()));
  return CacheFreed{freed.freed_bytes, freed.in_use_bytes};
}

Result<CacheFreed> clear_cache(const Settings& settings) {
  OLLM_TRY(const std::filesystem::path folder, kv_folder(settings));
  OLLM_TRY(const bool there, may_hold(folder));
  if (!there) return CacheFreed();
  OLLM_TRY(const kv::Freed freed, kv::clear_stored(folder, io::posix()));
  if (freed.in_use_bytes == 0)
    io::posix().unlink(runtime::ModelNames::path_in(folder).c_str());  // or it names nothing
  return CacheFreed{freed.freed_bytes, freed.in_use_bytes};
}

}  // namespace ollm
