// The sweep: one pass over all layers for token rows of any number of lines. Token ids only.
// Leaves to others: text (runtime/), what layers are made of (models/), where bytes live (plan/).
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "ollm/backend/backend.h"
#include "ollm/base/callback.h"
#include "ollm/base/result.h"
#include "ollm/base/token_id.h"
#include "ollm/kv/line.h"
#include "ollm/kv/sweep_reads.h"
#include "ollm/memory/buffer.h"
#include "ollm/models/blocks/activations.h"
#include "ollm/models/blocks/linear.h"
#include "ollm/models/blocks/rows.h"
#include "ollm/models/composition.h"
#include "ollm/weights/tape.h"

namespace ollm::engine {

/// What the plan chose.
struct Options {
  std::size_t max_rows = 1;        // rows of one sweep: the prefill chunk, over all lines
  std::size_t max_logit_rows = 1;  // rows of one sweep whose logits are computed
  /// Rows whose feed-forward intermediate is computed at once, for one and the same segment of
  /// weights; max_rows or more: all. Else a multiple of 12, so that it ends with a group of rows of
  /// every table.
  std::size_t feed_forward_rows = std::numeric_limits<std::size_t>::max();
};

/// Bytes that an engine charges, by owner; the plan's ledger counts with the same functions.
std::uint64_t activation_bytes(const models::Composition& composition,
                               const backend::Backend& backend, const Options& options);
std::uint64_t logits_bytes(const models::Composition& composition, const backend::Backend& backend,
                           const Options& options);

/// The next tokens of one line in a sweep; a line comes once in each.
struct Work {
  kv::Line* line = nullptr;         // with room reserved for the tokens
  std::span<const TokenId> tokens;  // at positions line->tokens(), line->tokens() + 1, ...
  std::size_t first_logit = 0;      // logits are wanted of tokens [first_logit, tokens.size())
};

/// Whether a work item's line is to go on; asked between layers.
using StillWanted = FunctionRef<bool(std::size_t work)>;

/// Runs sweeps of one loaded model. One thread at a time; allocates nothing after `make`.
class Engine {
 public:
  /// All references must outlive the engine. Errors: out_of_budget.
  static Result<std::unique_ptr<Engine>> make(const models::Composition& composition,
                                              weights::Tape& tape, backend::Backend& backend,
                                              const Options& options, memory::Budget& budget);

  const Options& options() const { return options_; }
  const models::Composition& composition() const { return composition_; }

  /// One pass over the weights. Nothing is committed and logits are not looked at: they wait in
  /// `logits` for whoever says which tokens hold, and on an error the sweep may be tried again. A
  /// line that fails by itself, or is not wanted any more, is dropped from the sweep (`failure`)
  /// and changes nothing for the others. Errors: io, corrupt from weights; cancelled, where no line
  /// is left.
  Result<void> compute(std::span<const Work> work, StillWanted still_wanted);
  /// Why a work item of the last `compute` was dropped: cancelled; io, corrupt from its KV; the
  /// errors of Line::prepare; an id outside the vocabulary.
  const std::optional<Error>& failure(std::size_t work) const { return failures_[work]; }
  /// The tokens whose logits the last `compute` made, in the order of the work, and the logits of
  /// the one at `index` of them; valid until the next.
  struct LogitRow {
    std::size_t work = 0;
    std::size_t token = 0;  // of the work item
  };
  std::span<const LogitRow> logit_rows() const { return logit_rows_; }
  std::span<float> logits(std::size_t index);

  /// Sweeps so far, and bytes of weights that they read from disk.
  std::uint64_t sweeps() const { return sweeps_; }

 private:
  Engine(const models::Composition& composition, weights::Tape& tape, backend::Backend& backend,
         const Options& options);

  Result<void> run(std::span<const Work> work, StillWanted still_wanted);
  Result<void> check_ids(const Work& work) const;
  void begin_lines(std::span<const Work> work);
  void lay_out_rows(std::span<const Work> work);
  void drop(std::size_t work, Error why);
  Result<void> drop_what_failed(std::span<const Work> work, StillWanted still_wanted);
  Result<void> embed(weights::TapePass& pass);
  Result<void> layer(std::size_t index, weights::TapePass& pass);
  Result<void> mix(std::size_t index, const models::SweepTools& tools);
  Result<void> head(std::span<const Work> work, weights::TapePass& pass);

  // constant after make
  const models::Composition& composition_;
  weights::Tape& tape_;
  backend::Backend& backend_;
  const Options options_;

  models::Activations activations_;
  memory::Buffer head_input_;  // [max_logit_rows, hidden]
  memory::Buffer head_left_;   // LeftOperand of head_input_
  memory::Buffer logits_;      // [max_logit_rows, vocab]

  // of the sweep that runs
  std::vector<models::RowSpan> spans_;  // one for each work item
  std::vector<std::optional<Error>> failures_;
  std::vector<LogitRow> logit_rows_;
  std::vector<kv::SweepLine> lines_;
  kv::SweepReads* kv_reads_ = nullptr;  // of the lines' store; null where all is in memory
  std::vector<std::uint32_t> ids_;
  std::size_t rows_ = 0;
  std::uint64_t sweeps_ = 0;
};

}  // namespace ollm::engine
