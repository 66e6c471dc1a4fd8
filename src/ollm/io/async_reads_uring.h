// The io_uring kind of AsyncReads.
#pragma once

#include <cstddef>
#include <memory>

#include "ollm/base/result.h"
#include "ollm/io/async_reads.h"

namespace ollm::io {

/// Errors: unsupported.
Result<std::unique_ptr<AsyncReads>> make_uring_reads(std::size_t depth);

}  // namespace ollm::io
