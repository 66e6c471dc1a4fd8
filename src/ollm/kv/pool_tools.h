// What `ollm cache` shows and removes of a folder of stored blocks, beside processes that use it.
// Leaves to others: which model a fingerprint is of, and what is printed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "ollm/base/callback.h"
#include "ollm/base/result.h"
#include "ollm/base/sha256.h"
#include "ollm/io/system_calls.h"

namespace ollm::kv {

/// All blocks of one fingerprint; without one, files that this version does not read: of other
/// versions, or damaged.
struct StoredEntry {
  std::optional<Digest> fingerprint;
  std::uint64_t blocks = 0;
  std::uint64_t tokens = 0;    // of all groups of layers together
  std::uint64_t bytes = 0;     // on disk
  std::int64_t written_s = 0;  // when it was last written or used, in seconds since 1970
};

/// Errors: not_found, io.
Result<std::vector<StoredEntry>> list_stored(const std::filesystem::path& folder,
                                             io::SystemCalls& calls);

struct VerifiedStore {
  std::uint64_t blocks = 0;   // that can be found
  std::uint64_t corrupt = 0;  // of them, those whose bytes are not what was written
};

/// Reads all blocks and sets the corrupt ones aside, so that no process finds them any more.
/// `on_progress` is told bytes read and bytes in all. Errors: cancelled; not_found, io.
Result<VerifiedStore> verify_stored(const std::filesystem::path& folder,
                                    FunctionRef<void(std::uint64_t, std::uint64_t)> on_progress,
                                    const CancellationToken& cancel, io::SystemCalls& calls);

struct Freed {
  std::uint64_t freed_bytes = 0;
  std::uint64_t in_use_bytes = 0;  // would have gone too, and are used by a process
};

/// What is to go: blocks until no more than `max_bytes` are on disk, those used last before a time,
/// those of some fingerprints; where several are given, a block goes that any of them means.
struct Pruning {
  std::optional<std::uint64_t> max_bytes;
  std::optional<std::int64_t> written_before_s;
  std::optional<std::vector<Digest>> fingerprints;
};

/// Errors: not_found, io.
Result<Freed> prune_stored(const std::filesystem::path& folder, const Pruning& pruning,
                           io::SystemCalls& calls);

/// Removes all that no process uses: blocks, files of other versions, and what processes that were
/// killed left. Errors: not_found, io.
Result<Freed> clear_stored(const std::filesystem::path& folder, io::SystemCalls& calls);

}  // namespace ollm::kv
