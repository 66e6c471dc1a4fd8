// Writing many bytes by calls that move fewer: through interruptions and short writes. Leaves to
// others: which call, and what a failure means.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "ollm/base/callback.h"
#include "ollm/io/system_calls.h"

namespace ollm::io {

/// Calls `move` with what is left until nothing is: 0, or the errno that it failed with. `written`
/// is how many bytes were moved in any case.
int write_all(std::span<const std::byte> bytes,
              FunctionRef<ssize_t(std::span<const std::byte> left)> move, std::size_t* written);

/// All of `bytes` at `offset`, by pwrite: 0 or an errno.
int write_all_at(SystemCalls& calls, int fd, std::uint64_t offset, std::span<const std::byte> bytes,
                 std::size_t* written);

}  // namespace ollm::io
