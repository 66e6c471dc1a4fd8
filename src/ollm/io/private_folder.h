// A folder for what nobody else may see: made with mode 0700, and refused where others could put
// something into it. Leaves to others: the files in it.
#pragma once

#include <filesystem>

#include "ollm/base/result.h"
#include "ollm/io/system_calls.h"

namespace ollm::io {

/// Makes the folder, and those above it that are missing, with mode 0700, or looks at the one that
/// is there.
/// Errors: invalid_argument for a folder of another user, for one that its group or others may
/// write to, for one in a folder that others may write to (but for one like /tmp, where only owners
/// replace what is there), and for a link or something else under its name; io, not_found.
Result<void> open_private_folder(const std::filesystem::path& folder, SystemCalls& calls = posix());

}  // namespace ollm::io
