// What the machine can do at most: arithmetic from registers, reads from memory.
// Leaves to others: what kernels reach of it (bench/, runtime/measure.h).
#pragma once

#include <cstddef>
#include <span>

#include "ollm/backend/options.h"
#include "ollm/base/thread_pool.h"

namespace ollm::backend {

/// Floating-point operations a second of the widest multiply-add of a table, from registers alone,
/// all threads of the pool together; about `seconds` long.
double peak_flops(Isa isa, ComputeMode mode, ThreadPool& pool, double seconds);

/// Bytes a second that the pool's threads read from `memory` together: the best of several loops
/// (streams of one, four and eight; with and without prefetch), on a machine that runs `isas`: a
/// processor without AVX2 reads with what it has. `memory` at least 8 MiB.
double read_rate(std::span<const std::byte> memory, ThreadPool& pool, std::span<const Isa> isas);

}  // namespace ollm::backend
