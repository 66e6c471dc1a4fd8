// Writing a small file so that readers see the old one or the new one, whole, whatever happens.
// Leaves to others: files that grow (kv/ has its own order of writes).
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string_view>

#include "ollm/base/result.h"
#include "ollm/io/system_calls.h"

namespace ollm::io {

/// Puts `content` under `path` by way of an OutputFile: after an error the old file stands
/// untouched, but for an error of the last sync, which leaves the new content, perhaps not durable.
/// `mode` are the permissions of a new file, before the umask. Errors: those of
/// OutputFile::create.
Result<void> atomic_replace(const std::filesystem::path& path, std::string_view content,
                            mode_t mode = 0666, SystemCalls& calls = posix());

}  // namespace ollm::io
