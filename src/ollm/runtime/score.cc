// How likely a model finds given tokens: rows of several sequences in the same sweeps.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "ollm/base/clock.h"
#include "ollm/runtime/logits_file.h"
#include "ollm/runtime/state.h"

namespace ollm {
namespace {

// log of the softmax of one logit, in double.
double log_probability(std::span<const float> logits, TokenId id) {
  const float largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - largest);
  return static_cast<double>(logits[static_cast<std::size_t>(id)]) - largest - std::log(sum);
}

class Scorer {
 public:
  Scorer(Runtime::State& runtime, std::span<const ScoreRow> rows, const ScoreOptions& options,
         OnProgress on_progress, const CancellationToken& cancel)
      : runtime_(runtime),
        rows_(rows),
        options_(options),
        on_progress_(on_progress),
        cancel_(cancel) {}

  Result<ScoreResult> run() {
    const double begin = monotonic_seconds();
    OLLM_TRY_VOID(check_rows());
    if (!options_.logits_path.empty()) {
      std::vector<runtime::LogitsFile::Row> lines;
      for (const ScoreRow& row : rows_)
        lines.push_back({row.id, options_.last_only ? 1 : row.ids.size()});
      OLLM_TRY_VOID(
          runtime::check_not_of_model(*runtime_.plan->run.folder(), options_.logits_path));
      OLLM_TRY(file_, runtime::LogitsFile::create(options_.logits_path, lines,
                                                  runtime_.composition().head.out, options_.batch));
    }
    out_.rows.resize(rows_.size());
    runtime::Timing timing;
    timing.at_begin = timing.at_decode = runtime::disk_cost(runtime_);
    for (std::size_t first = 0; first < rows_.size(); first += batch())
      OLLM_TRY_VOID(score_batch(first, std::min(batch(), rows_.size() - first)));
    if (file_) OLLM_TRY_VOID(file_->finish());
    finish_rows();

    timing.prefilled = total_ - cached_;
    timing.at_end = runtime::disk_cost(runtime_);
    timing.prefill_s = monotonic_seconds() - begin;
    out_.report = runtime::make_report(runtime_, timing);
    out_.report.prompt_tokens = total_;
    out_.report.cached_tokens = cached_;
    if (runtime_.kept_kv) runtime_.kept_kv->computed(total_ - cached_);
    return std::move(out_);
  }

 private:
  // More rows at once than there are change nothing.
  std::size_t batch() const { return std::min(options_.batch, rows_.size()); }

  Result<void> check_rows() {
    const std::size_t vocab = runtime_.composition().vocab_size;
    const Workload& planned = runtime_.execution().workload;
    if (options_.batch == 0) return fail(ErrorKind::invalid_argument, "a batch of 0 rows");
    if (batch() > planned.sequences) {
      return fail(ErrorKind::invalid_argument,
                  fmt::format("a batch of {} rows, but {} at once were planned for "
                              "(Workload::sequences)",
                              batch(), planned.sequences));
    }
    if (!options_.last_only && !planned.all_logits) {
      return fail(ErrorKind::invalid_argument,
                  "logits of all positions are wanted, but only the last one's were planned for "
                  "(Workload::all_logits)");
    }
    for (const ScoreRow& row : rows_) {
      const auto in_row = [&](std::string message) {
        return fail(ErrorKind::invalid_argument, fmt::format("row '{}': {}", row.id, message));
      };
      if (row.ids.empty()) return in_row("there are no token ids");
      if (row.ids.size() > runtime_.execution().context_tokens) {
        return in_row(fmt::format("{} tokens, but {} were planned for", row.ids.size(),
                                  runtime_.execution().context_tokens));
      }
      for (const TokenId id : row.ids) {
        if (id < 0 || static_cast<std::size_t>(id) >= vocab)
          return in_row(fmt::format("token id {}: the model has ids 0 to {}", id, vocab - 1));
      }
      total_ += row.ids.size();
    }
    return charge_rows();
  }

  // Ids and log probabilities of more tokens than the ledger counts are held as well: charged to
  // what the budget has left.
  Result<void> charge_rows() {
    const plan::LoadPlan& plan = runtime_.execution();
    const std::uint64_t planned = std::max<std::uint64_t>(
        plan.workload.total_tokens, std::uint64_t{plan.context_tokens} * plan.workload.sequences);
    const std::uint64_t rows = rows_.size() * options_.row_bytes();
    const std::uint64_t planned_rows =
        plan.workload.caller_bytes + plan.workload.sequences * options_.row_bytes();
    std::uint64_t excess = 0;
    if (total_ > planned) excess += (total_ - planned) * (sizeof(TokenId) + 2 * sizeof(double));
    if (rows > planned_rows) excess += rows - planned_rows;
    if (excess == 0) return {};
    Result<memory::Charge> charge = runtime_.budget.charge("token ids", excess);
    if (!charge.ok()) {
      return std::move(charge).error().within(
          fmt::format("{} tokens of {} rows, but {} tokens and {} bytes for rows were planned "
                      "(Workload::total_tokens, caller_bytes)",
                      total_, rows_.size(), planned, planned_rows));
    }
    rows_charge_.emplace(std::move(charge).value());
    return {};
  }

  // Sweeps over the rows [first, first + count) until each is done; rows of a sweep are shared out
  // evenly, what a short one leaves goes to the others.
  Result<void> score_batch(std::size_t first, std::size_t count) {
    std::vector<kv::Line> lines;
    for (std::size_t i = 0; i < count; ++i) {
      lines.emplace_back(*runtime_.kv);
      // Where all logits are wanted, nothing that is stored spares a token.
      const std::span<const TokenId> ids(rows_[first + i].ids);
      const bool stored = options_.last_only && runtime_.kept_kv;
      if (stored) runtime_.kept_kv->settle(ids.size(), on_progress_, cancel_);
      OLLM_TRY(const std::size_t cached,
               lines[i].restart(0, ids.size(), ids.first(stored ? ids.size() - 1 : 0)));
      done_ += cached;
      cached_ += cached;
    }
    std::vector<engine::Work> work;
    std::vector<std::size_t> row_of_work;
    for (;;) {
      work.clear();
      row_of_work.clear();
      std::size_t room = runtime_.engine->options().max_rows;
      std::size_t open = 0;
      for (std::size_t i = 0; i < count; ++i)
        if (lines[i].tokens() < rows_[first + i].ids.size()) ++open;
      if (open == 0) {
        for (kv::Line& line : lines) line.keep();
        return {};
      }
      for (std::size_t i = 0; i < count && room > 0; ++i) {
        const std::span<const TokenId> ids(rows_[first + i].ids);
        const std::size_t done = lines[i].tokens();
        if (done == ids.size()) continue;
        const std::size_t share = std::max<std::size_t>(1, room / open--);
        const std::size_t tokens = std::min(share, ids.size() - done);
        const bool ends = done + tokens == ids.size();
        const std::size_t first_logit = !options_.last_only ? 0 : ends ? tokens - 1 : tokens;
        work.push_back({&lines[i], ids.subspan(done, tokens), first_logit});
        row_of_work.push_back(first + i);
        room -= tokens;
      }
      Result<void> written;
      Result<void> swept = runtime_.engine->sweep(
          work,
          [&](std::size_t item, std::size_t token, std::span<float> logits) {
            if (!written.ok()) return;
            written = take(row_of_work[item], work[item].line->tokens() + token, logits);
          },
          cancel_);
      if (!swept.ok()) {
        OLLM_TRY_VOID(mend(lines, first, std::move(swept).error()));
        continue;
      }
      OLLM_TRY_VOID(std::move(written));
      if (runtime_.kept_kv) runtime_.kept_kv->poll();
      for (const engine::Work& item : work) done_ += item.tokens.size();
      if (on_progress_) on_progress_({Stage::score, done_, total_});
    }
  }

  // After a sweep that met a damaged block: its line goes back to before it, and on from there, not
  // for ever. Any other error is the score's.
  Result<void> mend(std::vector<kv::Line>& lines, std::size_t first_row, Error error) {
    constexpr int kAttempts = 3;
    bool mended = false;
    for (std::size_t i = 0; i < lines.size(); ++i) {
      if (!lines[i].is_damaged()) continue;
      const std::size_t before = lines[i].tokens();
      const std::size_t left = lines[i].mend();
      done_ -= before - left;
      mended = true;
      if (++damaged_[{first_row + i, left}] == kAttempts) {
        return fail(ErrorKind::io, std::move(error).message)
            .within(fmt::format("row '{}': keys and values from token {} on could not be read "
                                "back {} times",
                                rows_[first_row + i].id, left, kAttempts));
      }
    }
    if (!mended) return error;
    return {};
  }

  Result<void> take(std::size_t row, std::size_t token, std::span<const float> logits) {
    const std::vector<TokenId>& ids = rows_[row].ids;
    // Computed again after a mend.
    if (!options_.last_only && token < out_.rows[row].log_probs.size()) return {};
    if (!options_.last_only && token + 1 < ids.size()) {
      const double log_prob = log_probability(logits, ids[token + 1]);
      if (!std::isfinite(log_prob)) {
        return fail(ErrorKind::corrupt,
                    fmt::format("row '{}': token id {} at position {} has the logit -inf, so that "
                                "its log probability is no number: the model overflows",
                                rows_[row].id, ids[token + 1], token + 1));
      }
      out_.rows[row].log_probs.push_back(log_prob);
    }
    if (!file_) return {};
    return file_->write(row, options_.last_only ? 0 : token, logits);
  }

  void finish_rows() {
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      ScoredRow& row = out_.rows[i];
      row.id = rows_[i].id;
      row.tokens = rows_[i].ids.size();
      if (row.log_probs.empty()) continue;
      double sum = 0;
      for (const double log_prob : row.log_probs) sum += log_prob;
      const double perplexity = std::exp(-sum / static_cast<double>(row.log_probs.size()));
      if (std::isfinite(perplexity)) row.perplexity = perplexity;
    }
  }

  Runtime::State& runtime_;
  std::span<const ScoreRow> rows_;
  const ScoreOptions& options_;
  OnProgress on_progress_;
  const CancellationToken& cancel_;

  std::optional<memory::Charge> rows_charge_;
  std::optional<runtime::LogitsFile> file_;
  ScoreResult out_;
  std::size_t total_ = 0;
  std::size_t done_ = 0;
  std::size_t cached_ = 0;
  std::map<std::pair<std::size_t, std::size_t>, int> damaged_;  // by row and first token
};

}  // namespace

std::size_t ScoreOptions::row_bytes() const { return logits_path.empty() ? 300 : 700; }

Result<ScoreResult> Runtime::score(std::span<const ScoreRow> rows, const ScoreOptions& options,
                                   OnProgress on_progress, const CancellationToken* cancel) const {
  static const CancellationToken kNever;
  OLLM_TRY(const runtime::Turn turn, runtime::Turn::take(*state_));
  return Scorer(*state_, rows, options, on_progress, cancel ? *cancel : kNever).run();
}

}  // namespace ollm
