// The segment files of a folder: their names, which of them may be read, and the locks by which
// processes keep out of each other's way. Leaves to others: what is in them (segment_scan.h), who
// writes them (segment_writer.h).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/io/descriptor.h"
#include "ollm/io/file.h"
#include "ollm/io/system_calls.h"

namespace ollm::kv {

/// Behind the name of a file that is about to have none.
inline constexpr std::string_view kUnlinkedSuffix = ".tmp";

/// The lock of who evicts in the folder.
inline constexpr std::string_view kEvictionLock = "evict.lock";

/// "0123456789abcdef.kv" for a file of this number, in every version of the format.
std::string segment_name(std::uint64_t number);
/// The number of a file with such a name.
std::optional<std::uint64_t> segment_number(std::string_view name);
std::filesystem::path segment_path(const std::filesystem::path& folder, std::uint64_t number);
/// The file whose lock (flock, exclusive) is that of who appends to the segment file.
std::filesystem::path lock_path(const std::filesystem::path& folder, std::uint64_t number);

/// The number of the file that a lock of this name is of.
std::optional<std::uint64_t> locked_segment_number(std::string_view name);
/// Whether it is the name of a file that was about to have none.
bool is_left_over(std::string_view name);

/// Numbers of all files with such names, in ascending order. Errors: not_found, io.
Result<std::vector<std::uint64_t>> list_segments(const std::filesystem::path& folder,
                                                 io::SystemCalls& calls);

/// What stands under a segment file's name.
enum class SegmentState {
  whole,
  other_version,  // of the format
  damaged,        // its header is not what was written
  refused,        // a link, no file, of another user, or others may write to it
  busy,           // another process evicts in it
  absent,
};
std::string_view to_string(SegmentState state);

struct OpenedSegment {
  SegmentState state = SegmentState::absent;
  std::uint32_t version = 0;  // of the format, where it is whole or other_version
  /// Open for buffered reads and locked against eviction (flock, shared) where it is whole.
  std::optional<io::File> file;
};
/// Errors: io, where it cannot be told what it is.
Result<OpenedSegment> open_segment(const std::filesystem::path& folder, std::uint64_t number,
                                   io::SystemCalls& calls);

/// Opens the file, made where it is not there, and locks it exclusively: nothing where another
/// process has the lock. It waits for `tries` times 10 ms at most. Errors: io.
Result<std::optional<io::Descriptor>> try_lock(const std::filesystem::path& path, int tries,
                                               io::SystemCalls& calls);
/// One attempt of flock that does not wait; false where another has the lock.
bool try_flock(int fd, int operation, io::SystemCalls& calls);

/// A call on `path` that failed: out_of_budget where the disk, a quota or a limit of file sizes is
/// what is in the way, else as io::system_error.
Error write_error(const std::filesystem::path& path, std::string_view doing, int error);

}  // namespace ollm::kv
