// What the scheduler runs: a line of tokens that grows by what somebody makes of its logits.
// Leaves to others: which rows a sweep has (scheduler.h), how a token is chosen and what it reads
// as (whoever implements a Job).
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "ollm/base/result.h"
#include "ollm/base/token_id.h"
#include "ollm/sampling/workspaces.h"

namespace ollm::engine {

/// One line and what becomes of it. The scheduler's calls come one after the other, on the thread
/// that drives it, but for `take_logits`; `cancelled` and `rests` are answered at any time.
class Job {
 public:
  Job() = default;
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;
  virtual ~Job() = default;

  /// All tokens of the line that are certain, from its beginning; those that do not stand in KV yet
  /// are computed next. At least one; grows in `take_logits` alone, where they may come to stand
  /// elsewhere in memory, and never shrinks.
  virtual std::span<const TokenId> tokens() const = 0;
  /// The first position whose logits are wanted: those of all behind it are, too.
  virtual std::size_t first_logit() const = 0;

  /// Whether nobody wants it any more: asked between layers.
  virtual bool cancelled() const = 0;
  /// Whether what it made waits for somebody to take it, so that there is no use in making more.
  virtual bool rests() const { return false; }

  /// Whether it may guess; then, where all but the last of its tokens stand in KV, what may follow
  /// that, at most so many tokens: they are run with it, and each for which `take_logits` gives
  /// what was guessed is a token that the next sweep need not run.
  virtual bool may_draft() const { return false; }
  virtual std::span<const TokenId> drafts(std::size_t most) {
    (void)most;
    return {};
  }
  /// Of so many that it gave, the first `accepted` held. Comes before `swept`.
  virtual void judge(std::size_t drafts, std::size_t accepted) {
    (void)drafts;
    (void)accepted;
  }

  /// It has a line now, in which the first `cached` tokens stand already. Called again where it was
  /// put aside meanwhile, and where a block of it was damaged.
  virtual void began(std::size_t cached) = 0;

  /// The logits at a position, for as long as the call; in ascending order of positions. The token
  /// that follows, which stands in `tokens` then; nothing, where none is wanted. On any thread of
  /// the pool, beside those of other jobs. An error ends the job.
  virtual Result<std::optional<TokenId>> take_logits(std::size_t position, std::span<float> logits,
                                                     sampling::Workspaces& workspaces) = 0;

  /// So many tokens stand in KV now, after a sweep of which it had this share of the rows. Whether
  /// there is more to run.
  virtual bool swept(std::size_t computed, double share) = 0;

  /// It is over: as it was to be, or by an error, of which `cancelled` is one. Its line stands at
  /// `computed` tokens, 0 where it never had one; no further call follows.
  virtual void ended(Result<void> how, std::size_t computed) = 0;
};

}  // namespace ollm::engine
