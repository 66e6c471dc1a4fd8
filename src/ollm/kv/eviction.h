// Making room in a folder of segment files: which blocks go, what was used longest ago first, and
// never one that others need to be found. Leaves to others: how much room is wanted (disk_room.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <vector>

#include "ollm/base/callback.h"
#include "ollm/base/result.h"
#include "ollm/base/sha256.h"
#include "ollm/io/file.h"
#include "ollm/io/system_calls.h"
#include "ollm/kv/segment_writer.h"

namespace ollm::kv {

/// What the process that evicts has to do with the files itself; all of it may be empty.
struct EvictionView {
  /// The writer of a file that this process appends to, or null.
  FunctionRef<SegmentWriter*(std::uint64_t file_number)> writer = nullptr;
  /// A file that this process reads and holds a shared lock on, or null.
  FunctionRef<const io::File*(std::uint64_t file_number)> reading = nullptr;
  /// Whether the block may go; from then on this process does not find it any more.
  FunctionRef<bool(const Digest& id, std::uint64_t file_number, std::uint64_t offset)> claim =
      nullptr;
  /// A file that `reading` gave is removed: it is to be closed.
  FunctionRef<void(std::uint64_t file_number)> forget = nullptr;
};

/// What is to go.
struct EvictionGoal {
  std::uint64_t bytes =
      std::numeric_limits<std::uint64_t>::max();  // at least so many, where there are
  /// Nothing but blocks that were used last before this time, in seconds since 1970: they, and all
  /// that are needed to find them.
  std::optional<std::int64_t> used_before_s;
  /// Nothing but blocks of these fingerprints.
  std::optional<std::vector<Digest>> fingerprints;

  bool takes_any_block() const { return !used_before_s && !fingerprints; }
};

struct Evicted {
  std::uint64_t bytes = 0;
  std::uint64_t blocks = 0;
  std::uint64_t files = 0;
  std::uint64_t in_use_bytes = 0;  // of blocks that would have gone, and are used by a process
};

/// Gives back what the goal says, or as much of it as may go: where any block may, files of other
/// versions and damaged ones first; then blocks that no other block of the folder follows, in the
/// order of their last use, a block counting as used when one behind it was. Only files that no
/// process reads or appends to, or this one alone. Nothing where another process evicts at this
/// time. Takes about `memory_bytes`. Errors: io, not_found.
Result<Evicted> evict(const std::filesystem::path& folder, const EvictionGoal& goal,
                      std::size_t memory_bytes, const EvictionView& view, io::SystemCalls& calls);

}  // namespace ollm::kv
