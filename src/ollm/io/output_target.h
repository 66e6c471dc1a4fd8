// What stands under a path that is to be written: behind which links, and whether it is a file that
// can be replaced. Leaves to others: writing (output_file.h), what may not be written to (callers).
#pragma once

#include <sys/types.h>

#include <filesystem>

#include "ollm/base/result.h"
#include "ollm/io/system_calls.h"

namespace ollm::io {

struct OutputTarget {
  enum class Kind {
    nothing,     // a new file
    file,        // a regular one, which is replaced
    stream,      // a device, a FIFO, a socket: written to
    descriptor,  // one of this process' own, by /dev/stdout or /dev/fd/3: written to where it is
  };
  Kind kind = Kind::nothing;
  std::filesystem::path path;  // the name behind all links
  mode_t mode = 0;             // of a file: its permissions
  int descriptor = -1;
};

/// Errors: invalid_argument for a path that is empty, holds a NUL or leads to a folder; not_found
/// where a folder of it is not there; io.
Result<OutputTarget> find_output_target(const std::filesystem::path& path,
                                        SystemCalls& calls = posix());

}  // namespace ollm::io
