// The segment files that one process reads: how far each was scanned, and those that are open with
// a shared lock, so that nobody evicts in them. Leaves to others: what is found (block_index.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/io/file.h"
#include "ollm/io/system_calls.h"
#include "ollm/kv/segment_folder.h"
#include "ollm/kv/segment_scan.h"

namespace ollm::kv {

/// One thread at a time; the files that it hands out may be read by any.
class SegmentReaders {
 public:
  SegmentReaders(std::filesystem::path folder, io::Access access, io::SystemCalls& calls)
      : folder_(std::move(folder)), access_(access), calls_(calls) {}

  /// Shows to `visit` the items of all files that were not shown before, and tells `vanished` of
  /// files that are not there any more. A file that cannot be read is passed over until the next
  /// time. Errors: io, not_found of the folder.
  Result<void> refresh(VisitItem visit, FunctionRef<void(std::uint64_t file_number)> vanished);
  /// Shows all items again at the next refresh.
  void start_over();

  /// The file for reads of blocks, opened and locked if it was not, then with its new items shown;
  /// null where it is not to be had.
  const io::File* open(std::uint64_t file_number, VisitItem visit);
  /// A file without a lock and without items to be shown: one of our own that has no name.
  Result<const io::File*> open_unlinked(std::uint64_t file_number,
                                        const std::filesystem::path& path);
  void close(std::uint64_t file_number);

  /// Of an open file, the one for reads of blocks.
  const io::File* blocks(std::uint64_t file_number) const;
  /// Of an open file, the one that holds its lock: for reads at any offset.
  const io::File* records(std::uint64_t file_number) const;
  /// That all up to here was shown: items that this process appended itself.
  void mark_shown(std::uint64_t file_number, std::uint64_t end);

 private:
  struct Segment {
    std::uint64_t shown = kPageBytes;  // items before it were shown
    std::optional<io::File> records;   // buffered, with the lock
    std::optional<io::File> blocks;    // with the access that was asked for
  };

  bool show(std::uint64_t file_number, Segment& segment, const io::File& file, VisitItem visit);
  Result<io::File> open_blocks(const std::filesystem::path& path) const;

  const std::filesystem::path folder_;
  const io::Access access_;
  io::SystemCalls& calls_;
  std::map<std::uint64_t, Segment> segments_;  // by number; entries stay where they are
};

}  // namespace ollm::kv
