/// \file
/// The keys and values that runs left on disk: what is there, whether it is whole, and how to be
/// rid of it; what `ollm cache` does. docs/cache.md says what they are for.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "ollm/ollm.h"

namespace ollm {

/// What is stored under one fingerprint: of one model, computed in one way.
struct CacheEntry {
  /// 64 digits; nothing of files that this version does not read.
  std::optional<std::string> fingerprint;
  /// What the model was called when it last ran; nothing where nobody noted it.
  std::optional<std::string> model;
  std::uint64_t blocks = 0;  // that are found
  std::uint64_t tokens = 0;  // in them; each group of layers counts its own
  std::uint64_t bytes = 0;   // on disk
  /// When something of it was last used, by this machine's clock then: "2026-11-24T10:30:00Z".
  std::optional<std::string> last_used;
};

/// All that is stored.
struct CacheList {
  std::filesystem::path folder;       // the setting cache_dir, and in it "kv"
  std::uint64_t bytes = 0;            // on disk, of every version
  std::uint64_t cap_bytes = 0;        // that are kept after a run
  std::uint64_t disk_free_bytes = 0;  // of its file system, for this user
  std::vector<CacheEntry> entries;    // what was used last first

  /// docs/formats/cache_list.schema.json, pretty-printed.
  OLLM_API std::string json() const;
};

/// Reads what is stored; a folder that is not there is an empty one. Errors: invalid_argument for
/// a folder of another user or that others may write to; io.
OLLM_API Result<CacheList> list_cache(const Settings& settings);

/// What `verify_cache` found.
struct CacheVerification {
  std::uint64_t blocks = 0;   // that were read
  std::uint64_t corrupt = 0;  // of them, not what was stored; they are set aside: no run finds them

  /// docs/formats/cache_verify.schema.json, pretty-printed.
  OLLM_API std::string json() const;
};

/// Reads every stored block and compares it with its checksum. Errors: as list_cache; cancelled.
OLLM_API Result<CacheVerification> verify_cache(const Settings& settings,
                                                OnProgress on_progress = nullptr,
                                                const CancellationToken* cancel = nullptr);

/// What is to go; at least one of them.
struct CachePruning {
  /// Until no more than that is left.
  std::optional<std::uint64_t> max_bytes = std::nullopt;
  /// What was not used for so long, by what this machine's clock said at the time.
  std::optional<std::uint64_t> older_than_s = std::nullopt;
  /// What is of a model: a reference, or a fingerprint of 64 digits.
  std::optional<std::string> model = std::nullopt;
};

/// What was given back to the disk.
struct CacheFreed {
  std::uint64_t freed_bytes = 0;   // on disk
  std::uint64_t in_use_bytes = 0;  // that were to go, and stay: running processes have them

  /// docs/formats/cache_prune.schema.json, pretty-printed.
  OLLM_API std::string json() const;
};

/// Gives back what was used longest ago first. What a running process reads or writes stays.
/// Errors: as list_cache; invalid_argument where nothing is to go; not_found for a model of which
/// nothing is stored.
OLLM_API Result<CacheFreed> prune_cache(const Settings& settings, const CachePruning& pruning);

/// Gives back all of it, that of other versions too. Errors: as list_cache.
OLLM_API Result<CacheFreed> clear_cache(const Settings& settings);

}  // namespace ollm
