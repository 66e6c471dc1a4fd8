// The two kinds of AsyncReads. Leaves to others: which one serves (async_reads.h).
#pragma once

#include <cstddef>
#include <memory>

#include "ollm/base/result.h"
#include "ollm/io/async_reads.h"

namespace ollm::io {

/// Reads by threads that call pread; by the calling thread where none can be started.
std::unique_ptr<AsyncReads> make_thread_reads(std::size_t depth);

/// Reads by io_uring, which read something before this returns. Where the kernel stops to serve
/// the queue later, threads go on with what it has not taken.
/// Errors: unsupported.
Result<std::unique_ptr<AsyncReads>> make_uring_reads(std::size_t depth);

}  // namespace ollm::io
