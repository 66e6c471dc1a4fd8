// Whether a file system gives back parts of files (hole punching), found out by trying.
// Leaves to others: direct reads (read_probes.h).
#pragma once

#include <filesystem>

#include "ollm/base/result.h"
#include "ollm/io/system_calls.h"

namespace ollm::io {

/// Writes a file without a name in `folder`, which the system drops when it is closed, and gives
/// back a part of it.
/// Errors: unsupported where the file system gives back no parts, or has no files without a name;
/// io where no file can be made there.
Result<void> probe_punch_in_folder(const std::filesystem::path& folder,
                                   SystemCalls& calls = posix());

}  // namespace ollm::io
