// Keys and values of no tokens, for who measures long lines without the hours of prefill that they
// take. Leaves to others: what is measured (cli/bench.cc).
#pragma once

#include <cstddef>
#include <span>

#include "ollm/base/callback.h"
#include "ollm/base/result.h"
#include "ollm/base/token_id.h"
#include "ollm/kv/line.h"

namespace ollm::kv {

/// Extends a line by these tokens with random keys and values, `rows` tokens at a time, through the
/// same blocks, frames and writes as a sweep's. `progress` is told the tokens done.
/// Errors: out_of_budget, io; cancelled.
Result<void> extend_at_random(Line& line, std::span<const TokenId> tokens, std::size_t rows,
                              FunctionRef<void(std::size_t done)> progress,
                              const CancellationToken& cancel);

}  // namespace ollm::kv
