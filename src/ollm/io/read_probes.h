// Whether a file system has direct reads, found out by trying.
// Leaves to others: io_uring (async_reads.h), how fast reads are (a measured profile).
#pragma once

#include <filesystem>

#include "ollm/base/result.h"
#include "ollm/io/file.h"
#include "ollm/io/system_calls.h"

namespace ollm::io {

/// Reads the first bytes of a file past the page cache.
/// Errors: unsupported where its file system has no direct access; those of File::open and read_at.
Result<void> probe_direct_read(const std::filesystem::path& file, SystemCalls& calls = posix());
/// The same of a file that is open already. Errors: as above; corrupt where another file lies under
/// its path by now.
Result<void> probe_direct_read(const File& file);

/// The same on a file without a name in `folder`, which the system drops when it is closed.
/// Errors: unsupported where there is no direct access; io where no such file can be made.
Result<void> probe_direct_in_folder(const std::filesystem::path& folder,
                                    SystemCalls& calls = posix());

}  // namespace ollm::io
