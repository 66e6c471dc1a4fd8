// How likely a model finds given tokens: rows of several sequences in the same sweeps.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>
#include <mutex>
#include <utility>

#include "ollm/base/clock.h"
#include "ollm/runtime/logits_file.h"
#include "ollm/runtime/state.h"
#include "ollm/sampling/log_probs.h"

namespace ollm {
namespace {

class Scorer;

// One row among the lines that run.
class RowJob final : public engine::Job {
 public:
  RowJob(Scorer& scorer, std::size_t row, const ScoreRow& ids, bool last_only,
         const CancellationToken& cancel)
      : scorer_(scorer), row_(row), ids_(ids.ids), last_only_(last_only), cancel_(cancel) {}

  std::span<const TokenId> tokens() const override { return ids_; }
  std::size_t first_logit() const override { return last_only_ ? ids_.size() - 1 : 0; }
  bool cancelled() const override {
    return cancel_.cancelled() || abandoned_.load(std::memory_order_relaxed);
  }
  void began(std::size_t cached) override;
  Result<std::optional<TokenId>> take_logits(std::size_t position, std::span<float> logits,
                                             sampling::Workspaces&) override;
  bool swept(std::size_t computed, double) override;
  void ended(Result<void> how, std::size_t) override;

  void abandon() { abandoned_.store(true, std::memory_order_relaxed); }
  bool over() const { return over_.load(std::memory_order_acquire); }
  /// Why it has no scores, once it is over.
  const std::optional<Error>& error() const { return error_; }

 private:
  Scorer& scorer_;
  const std::size_t row_;
  const std::span<const TokenId> ids_;
  const bool last_only_;
  const CancellationToken& cancel_;
  bool began_before_ = false;
  std::size_t computed_ = 0;
  std::optional<Error> error_;
  std::atomic<bool> abandoned_{false};
  std::atomic<bool> over_{false};
};

// What they refer to stays until they are over, also where a callback throws.
struct RowsThatRun {
  explicit RowsThatRun(engine::Scheduler& runs) : scheduler(runs) {}
  ~RowsThatRun() {
    for (const std::shared_ptr<RowJob>& job : jobs) job->abandon();
    scheduler.run_until([&] {
      return std::all_of(jobs.begin(), jobs.end(), [](const auto& job) { return job->over(); });
    });
  }
  RowsThatRun(const RowsThatRun&) = delete;
  RowsThatRun& operator=(const RowsThatRun&) = delete;

  engine::Scheduler& scheduler;
  std::vector<std::shared_ptr<RowJob>> jobs;
};

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
    runtime::DiskCost before;
    {
      const runtime::Turn turn(runtime_);
      before = runtime::disk_cost(runtime_);
    }
    OLLM_TRY_VOID(score_rows());
    if (file_) OLLM_TRY_VOID(file_->finish());
    finish_rows();

    const std::size_t cached = cached_.load();
    timing.prefilled = total_ - cached;
    timing.prefill_s = monotonic_seconds() - begin;
    const runtime::Turn turn(runtime_);
    timing.prefill_cost = runtime::disk_cost(runtime_);
    timing.prefill_cost.subtract(before);
    out_.report = runtime::make_report(runtime_, timing);
    out_.report.prompt_tokens = total_;
    out_.report.cached_tokens = cached;
    if (runtime_.kept_kv) runtime_.kept_kv->computed(total_ - cached);
    return std::move(out_);
  }

  // What its rows tell while they run ---------------------------------------------------------

  // That so many of its tokens need not be computed.
  void found(std::size_t tokens) {
    cached_ += tokens;
    computed(static_cast<std::ptrdiff_t>(tokens));
  }
  // That so many more of a row's tokens stand in KV, or fewer.
  void computed(std::ptrdiff_t tokens) { done_ += static_cast<std::size_t>(tokens); }

  Result<void> take(std::size_t row, std::size_t token, std::span<const float> logits) {
    const std::vector<TokenId>& ids = rows_[row].ids;
    // Computed again after a mend.
    if (!options_.last_only && token < out_.rows[row].log_probs.size()) return {};
    if (!options_.last_only && token + 1 < ids.size()) {
      const double log_prob = sampling::log_probs(logits, ids[token + 1], 0).log_prob;
      if (!std::isfinite(log_prob)) {
        return fail(ErrorKind::corrupt,
                    fmt::format("row '{}': token id {} at position {} has the logit -inf, so that "
                                "its log probability is no number: the model overflows",
                                rows_[row].id, ids[token + 1], token + 1));
      }
      out_.rows[row].log_probs.push_back(log_prob);
    }
    if (!file_) return {};
    const std::lock_guard lock(file_mutex_);
    return file_->write(row, options_.last_only ? 0 : token, logits);
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

  // As many rows at once as a batch has, each further one as soon as one is done.
  Result<void> score_rows() {
    RowsThatRun rows(*runtime_.scheduler);
    std::vector<std::shared_ptr<RowJob>>& running = rows.jobs;
    std::optional<Error> error;
    std::size_t next = 0;
    std::uint64_t told = 0;
    while (next < rows_.size() || !running.empty()) {
      while (!error && next < rows_.size() && running.size() < batch())
        running.push_back(begin_row(next++));
      const auto is_over = [](const std::shared_ptr<RowJob>& row) { return row->over(); };
      runtime_.scheduler->run_until([&] {
        return done_.load() != told || std::any_of(running.begin(), running.end(), is_over);
      });
      if (on_progress_ && done_.load() != told) on_progress_({Stage::score, done_.load(), total_});
      told = done_.load();
      for (const std::shared_ptr<RowJob>& row : running)
        if (row->over() && row->error() && !error) error = row->error();
      if (error) {
        for (const std::shared_ptr<RowJob>& row : running) row->abandon();
        next = rows_.size();
      }
      std::erase_if(running, is_over);
    }
    if (error) return *error;
    return {};
  }

  std::shared_ptr<RowJob> begin_row(std::size_t row) {
    const ScoreRow& ids = rows_[row];
    // Where all logits are wanted, nothing that is stored spares a token.
    engine::Terms terms;
    terms.room = ids.ids.size();
    terms.reuses = options_.last_only;
    if (terms.reuses && runtime_.kept_kv) {
      const runtime::Turn turn(runtime_);
      runtime_.kept_kv->settle(ids.ids.size(), on_progress_, cancel_);
    }
    auto job = std::make_shared<RowJob>(*this, row, ids, options_.last_only, cancel_);
    runtime_.scheduler->submit(job, terms);
    return job;
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
  std::mutex file_mutex_;
  std::atomic<std::uint64_t> done_{0};
  std::atomic<std::size_t> cached_{0};
};

void RowJob::began(std::size_t cached) {
  if (!began_before_) scorer_.found(cached);
  if (began_before_) swept(cached, 0);
  began_before_ = true;
  computed_ = cached;
}

Result<std::optional<TokenId>> RowJob::take_logits(std::size_t position, std::span<float> logits,
                                                   sampling::Workspaces&) {
  OLLM_TRY_VOID(scorer_.take(row_, position, logits));
  return std::optional<TokenId>();
}

bool RowJob::swept(std::size_t computed, double) {
  scorer_.computed(static_cast<std::ptrdiff_t>(computed) - static_cast<std::ptrdiff_t>(computed_));
  computed_ = computed;
  return computed < ids_.size();
}

void RowJob::ended(Result<void> how, std::size_t) {
  if (!how.ok()) error_ = std::move(how).error();
  over_.store(true, std::memory_order_release);
}

}  // namespace

std::size_t ScoreOptions::row_bytes() const { return logits_path.empty() ? 300 : 700; }

Result<ScoreResult> Runtime::score(std::span<const ScoreRow> rows, const ScoreOptions& options,
                                   OnProgress on_progress, const CancellationToken* cancel) const {
  static const CancellationToken kNever;
  OLLM_TRY_VOID(runtime::check_may_call(*state_));
  return Scorer(*state_, rows, options, on_progress, cancel ? *cancel : kNever).run();
}

}  // namespace ollm
