// What the machine can do at most: arithmetic from registers, reads from memory.
// Leaves to others: what the kernels reach of it (kernels.cc).
#pragma once

#include <cstddef>
#include <span>

#include "ollm/backend/options.h"
#include "ollm/base/thread_pool.h"

namespace ollm::bench {

/// Floating-point operations a second of the widest multiply-add of a table, from registers alone,
/// all threads of the pool together; about `seconds` long.
double peak_flops(backend::Isa isa, backend::ComputeMode mode, ThreadPool& pool, double seconds);

/// Bytes a second that the pool's threads read from `memory` together: the best of several loops
/// (streams of one, four and eight; with and without prefetch).
double read_rate(std::span<const std::byte> memory, ThreadPool& pool);

double now_seconds();

}  // namespace ollm::bench
