// For tests: sweeps of which every token holds, line by line, without a scheduler. Leaves to
// others: which lines run, and which of their tokens are kept (scheduler.h).
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include "ollm/base/callback.h"
#include "ollm/base/result.h"
#include "ollm/base/token_id.h"
#include "ollm/engine/engine.h"
#include "ollm/sampling/logits_check.h"

namespace ollm::engine {

/// Gets the logits [vocab] of one token of one work item; the memory is the engine's.
using LogitsSink = FunctionRef<void(std::size_t work, std::size_t token, std::span<float> logits)>;

/// Computes a sweep and commits all of it. On an error no token is committed, `sink` was not
/// called, and the sweep may be tried again. Errors: the first of a work item; those of
/// Engine::compute; corrupt where logits are no numbers.
inline Result<void> sweep(Engine& engine, std::span<const Work> work, LogitsSink sink,
                          const CancellationToken& cancel) {
  OLLM_TRY_VOID(cancel.check());
  const Result<void> computed =
      engine.compute(work, [&](std::size_t) { return !cancel.cancelled(); });
  for (std::size_t i = 0; i < work.size(); ++i)
    if (engine.failure(i)) return *engine.failure(i);
  OLLM_TRY_VOID(computed);
  const std::span<const Engine::LogitRow> rows = engine.logit_rows();
  for (std::size_t i = 0; i < rows.size(); ++i)
    OLLM_TRY_VOID(sampling::check_logits(engine.logits(i),
                                         work[rows[i].work].line->tokens() + rows[i].token));
  for (std::size_t i = 0; i < rows.size(); ++i) sink(rows[i].work, rows[i].token, engine.logits(i));
  for (const Work& item : work) item.line->commit(item.tokens);
  return {};
}

/// Extends a line by `tokens`, be it a prompt or the token that was just chosen: sweeps in chunks
/// of max_rows; the logits of the last token go to `sink`. `progress` is told the tokens done.
/// Errors: as sweep; what was committed stays.
inline Result<void> extend(Engine& engine, kv::Line& line, std::span<const TokenId> tokens,
                           FunctionRef<void(std::size_t done)> progress,
                           FunctionRef<void(std::span<float>)> sink,
                           const CancellationToken& cancel) {
  for (std::size_t done = 0; done < tokens.size();) {
    const std::size_t count = std::min(engine.options().max_rows, tokens.size() - done);
    const bool last = done + count == tokens.size();
    const Work work{&line, tokens.subspan(done, count), last ? count - 1 : count};
    OLLM_TRY_VOID(sweep(
        engine, {&work, 1},
        [&](std::size_t, std::size_t, std::span<float> logits) { sink(logits); }, cancel));
    done += count;
    if (progress) progress(done);
  }
  return {};
}

}  // namespace ollm::engine
