#include "ollm/engine/scheduler.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "ollm/base/check.h"
#include "ollm/sampling/logits_check.h"

namespace ollm::engine {
namespace {

// A block that cannot be read back so many times is a failure of the disk.
constexpr int kAttempts = 3;
// Fewer tokens in common with another line are computed sooner than they are waited for.
constexpr std::size_t kWorthSharing = 64;

Error cancelled() { return {ErrorKind::cancelled, "stopped by the caller"}; }

}  // namespace

Scheduler::Scheduler(Engine& engine, kv::Store& store, ThreadPool& pool, Options options)
    : engine_(engine),
      store_(store),
      pool_(pool),
      options_(std::move(options)),
      lines_(
          std::min({options_.lines, engine.options().max_rows, engine.options().max_logit_rows})),
      workspaces_(engine.composition().head.out) {
  running_.reserve(lines_);
  shares_.reserve(lines_);
  work_.reserve(lines_);
  swept_.reserve(lines_);
}

Scheduler::~Scheduler() = default;

// Who drives --------------------------------------------------------------------------------------

Scheduler::Owner::Owner(Scheduler& scheduler) : scheduler_(scheduler) {
  std::unique_lock lock(scheduler.mutex_);
  within_ = scheduler.driven_ && scheduler.driver_ == std::this_thread::get_id();
  if (within_) return;
  ++scheduler.owners_waiting_;
  scheduler.changed_.wait(lock, [&] { return !scheduler.driven_; });
  --scheduler.owners_waiting_;
  scheduler.drive();
}

bool Scheduler::driven_here() {
  const std::lock_guard lock(mutex_);
  return driven_ && driver_ == std::this_thread::get_id();
}

Scheduler::Owner::~Owner() {
  if (within_) return;
  const std::lock_guard lock(scheduler_.mutex_);
  scheduler_.leave();
}

// This thread drives from now on, or does no more; both with mutex_.
void Scheduler::drive() {
  driven_ = true;
  driver_ = std::this_thread::get_id();
}

void Scheduler::leave() {
  driven_ = false;
  changed_.notify_all();
}

void Scheduler::submit(std::shared_ptr<Job> job, const Terms& terms) {
  auto entry = std::make_unique<Entry>();
  entry->job = std::move(job);
  entry->terms = terms;
  {
    const std::lock_guard lock(mutex_);
    entry->arrival = next_arrival_++;
    arrivals_.push_back(std::move(entry));
  }
  changed_.notify_all();
}

void Scheduler::run_until(FunctionRef<bool()> enough) {
  std::unique_lock lock(mutex_);
  while (!enough()) {
    if (driven_ || owners_waiting_ > 0) {
      changed_.wait(lock);
      continue;
    }
    drive();
    lock.unlock();
    const bool more = step();
    lock.lock();
    leave();
    if (!more && arrivals_.empty()) return;
  }
}

void Scheduler::try_to_end_cancelled() {
  std::unique_lock lock(mutex_);
  if (driven_) return;
  drive();
  lock.unlock();
  take_arrivals();
  end_cancelled();
  lock.lock();
  leave();
}

void Scheduler::take_arrivals() {
  std::vector<std::unique_ptr<Entry>> arrived;
  {
    const std::lock_guard lock(mutex_);
    if (arrivals_.empty()) return;
    arrived.swap(arrivals_);
  }
  for (std::unique_ptr<Entry>& entry : arrived) waiting_.add(std::move(entry));
}

bool Scheduler::step() {
  take_arrivals();
  end_cancelled();
  admit();
  // What nobody takes is made all the same where nothing else can be: whoever waits for the line of
  // such a job would wait for ever.
  if (lay_out(false) || lay_out(true)) sweep();
  return !running_.empty() || !waiting_.empty();
}

// Who runs ----------------------------------------------------------------------------------------

void Scheduler::end_cancelled() {
  for (const std::unique_ptr<Running>& run : running_)
    if (run->entry->job->cancelled()) end(*run, cancelled());
  drop_ended();
  const auto gone = [](const Entry& entry) { return entry.job->cancelled(); };
  for (const std::unique_ptr<Entry>& entry : waiting_.take_all(gone))
    entry->job->ended(cancelled(), 0);
}

void Scheduler::admit() {
  if (finds_again()) {
    waiting_.look_up([&](std::span<const TokenId> tokens) {
      return kv::Line(store_).count_stored(tokens.first(tokens.size() - 1));
    });
  } else if (running_.size() == lines_) {
    return;  // and so it is at every sweep while all lines run
  }
  while (!waiting_.empty()) {
    std::unique_ptr<Running> made;
    std::unique_ptr<Entry> entry = waiting_.take([&](Entry& candidate) {
      const bool full = running_.size() == lines_;
      const std::optional<std::size_t> aside = full ? whom_to_put_aside(candidate) : std::nullopt;
      if (full && !aside) return no_room_for(candidate);
      if (waits_for_another(candidate)) return WaitingJobs::Fit::no;
      if (aside) put_aside(*aside);
      made = std::make_unique<Running>();
      return try_to_begin(candidate, *made);
    });
    for (std::unique_ptr<Entry>& aside : put_aside_) waiting_.add(std::move(aside));
    put_aside_.clear();
    if (entry == nullptr) return;
    if (made->failed) {
      entry->job->ended(*made->failed, 0);
      continue;
    }
    waiting_.learn(entry->job->tokens());
    made->entry = std::move(entry);
    made->drafted.reserve(1 + options_.speculation.most_drafts);
    const auto before = [](const auto& a, const auto& b) {
      return goes_before(*a->entry, *b->entry);
    };
    running_.insert(std::upper_bound(running_.begin(), running_.end(), made, before),
                    std::move(made));
  }
}

// The line that has most of a job's first tokens, for a job that may share them.
Scheduler::Donor Scheduler::best_donor(const Entry& entry) const {
  if (entry.terms.line != nullptr || !entry.terms.reuses) return {};
  Donor best;
  const std::span<const TokenId> tokens = entry.job->tokens();
  for (const std::unique_ptr<Running>& run : running_) {
    if (!run->entry->terms.reuses) continue;
    const std::size_t common =
        common_prefix(tokens.first(tokens.size() - 1), run->entry->job->tokens());
    if (common > best.common) best = {run.get(), common};
  }
  return best.common < kWorthSharing ? Donor() : best;
}

// Whether it begins as a line does whose prompt is being computed: it shares its blocks then. Not
// for one of a higher priority, nor for what was overtaken too often; and what stands behind a
// prompt comes a token a sweep, or not at all as long as the line rests.
bool Scheduler::waits_for_another(const Entry& entry) const {
  if (entry.overtaken >= WaitingJobs::kMostOvertakes) return false;
  const Donor donor = best_donor(entry);
  if (donor.run == nullptr) return false;
  const Entry& computing = *donor.run->entry;
  return donor.run->line->tokens() < std::min(donor.common, computing.job->first_logit()) &&
         computing.terms.priority >= entry.terms.priority && !computing.job->rests();
}

// The job gets its line, if there is room for it; of one that begins as it does it shares the
// blocks.
WaitingJobs::Fit Scheduler::try_to_begin(Entry& entry, Running& made) {
  std::size_t kept = entry.terms.kept;
  made.line = entry.terms.line;
  if (made.line == nullptr) {
    made.own.emplace(store_);
    made.line = &*made.own;
    if (const Donor donor = best_donor(entry); donor.run != nullptr) {
      const kv::Line& line = *donor.run->line;
      Result<kv::Line> forked = line.fork(line.exact_below(std::min(donor.common, line.tokens())));
      if (forked.ok()) {
        *made.own = std::move(forked).value();
        kept = made.line->tokens();
      }
    }
  }
  const std::span<const TokenId> tokens = entry.job->tokens();
  const std::span<const TokenId> stored = tokens.first(entry.terms.reuses ? tokens.size() - 1 : 0);
  if (options_.before_lookup && stored.size() > kept) options_.before_lookup(stored.size() - kept);
  // What is not committed yet is not found.
  if (std::exchange(entry.put_aside, false)) store_.wait_for_commits();
  for (;;) {
    Result<std::size_t> begun = made.line->restart(kept, entry.terms.room, stored);
    if (begun.ok()) {
      if (entry.terms.entry > *begun) made.line->add_entry(entry.terms.entry);
      entry.job->began(*begun);
      return WaitingJobs::Fit::yes;
    }
    if (const auto aside = whom_to_put_aside(entry)) {
      put_aside(*aside);
      continue;
    }
    if (!running_.empty()) return no_room_for(entry);
    made.failed = std::move(begun).error();
    return WaitingJobs::Fit::yes;
  }
}

// What has no use for a line now keeps nobody else from one.
WaitingJobs::Fit Scheduler::no_room_for(const Entry& entry) {
  return entry.job->rests() ? WaitingJobs::Fit::no : WaitingJobs::Fit::none_does;
}

// Whose line makes room for a job: one whose answer nobody takes, or the latest of a lower
// priority. None for a job that would only rest on it: two of them would take turns for ever.
std::optional<std::size_t> Scheduler::whom_to_put_aside(const Entry& entry) const {
  if (!finds_again() || entry.job->rests()) return std::nullopt;
  for (std::size_t i = running_.size(); i-- > 0;) {
    const Running& run = *running_[i];
    if (!run.own || !run.entry->terms.reuses) continue;
    if (run.entry->overtaken >= WaitingJobs::kMostOvertakes) continue;
    if (run.entry->terms.priority < entry.terms.priority || run.entry->job->rests()) return i;
  }
  return std::nullopt;
}

// It waits again, with its place, and finds its tokens in the pool.
void Scheduler::put_aside(std::size_t index) {
  const std::unique_ptr<Running> run = std::move(running_[index]);
  running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(index));
  run->line->keep();
  store_.wait_for_writes();
  ++run->entry->overtaken;
  run->entry->put_aside = true;
  put_aside_.push_back(std::move(run->entry));
}

void Scheduler::end(Running& run, Result<void> how) {
  run.over = true;
  // What was computed is right, whatever ended the job.
  run.line->keep();
  run.entry->job->ended(std::move(how), run.line->tokens());
}

void Scheduler::drop_ended() {
  std::erase_if(running_, [](const std::unique_ptr<Running>& run) { return run->over; });
}

// A sweep -----------------------------------------------------------------------------------------

// Which rows the next sweep has; false where there are none.
bool Scheduler::lay_out(bool also_resting) {
  shares_.clear();
  swept_.clear();
  work_.clear();
  for (const std::unique_ptr<Running>& run : running_) {
    const Job& job = *run->entry->job;
    if (!also_resting && job.rests()) continue;
    const std::size_t stand = run->line->tokens();
    const std::size_t first_logit = std::max(job.first_logit(), stand);
    shares_.push_back({job.tokens().size() - stand, first_logit - stand, job.may_draft()});
    swept_.push_back(run.get());
  }
  share_rows(shares_, {engine_.options().max_rows, engine_.options().max_logit_rows, draft_rows()});
  std::size_t lines = 0;
  for (std::size_t i = 0; i < shares_.size(); ++i) {
    Running& run = *swept_[i];
    run.rows = shares_[i].rows;
    run.accepted = 0;
    run.failed.reset();
    if (run.rows == 0) continue;
    run.row_tokens = run.entry->job->tokens().subspan(run.line->tokens(), run.rows);
    if (shares_[i].draft_rows > 0) add_drafts(run, shares_[i].draft_rows);
    work_.push_back({run.line, run.row_tokens, std::min(shares_[i].first_logit, run.rows)});
    swept_[lines++] = &run;
  }
  swept_.resize(lines);
  return lines > 0;
}

// Rows that cost nearly nothing, as reading takes longer than computing them; none, where a prompt
// can use them.
std::size_t Scheduler::draft_rows() const {
  std::size_t rows = 0;
  for (const RowShare& share : shares_) rows += share.pending;
  const std::size_t free = options_.speculation.free_rows;
  return rows < free ? free - rows : 0;
}

void Scheduler::add_drafts(Running& run, std::size_t most) {
  const std::size_t room = run.entry->terms.room;
  const std::size_t stand = run.line->tokens();
  if (stand + 1 >= room) return;
  most = std::min({most, options_.speculation.most_drafts, room - stand - 1});
  const std::span<const TokenId> drafts = run.entry->job->drafts(most);
  run.drafted.assign(run.row_tokens.begin(), run.row_tokens.end());
  for (const TokenId id : drafts.first(std::min(most, drafts.size()))) run.drafted.push_back(id);
  run.row_tokens = run.drafted;
}

void Scheduler::sweep() {
  const Result<void> computed = engine_.compute(
      work_, [&](std::size_t work) { return !swept_[work]->entry->job->cancelled(); });
  if (options_.after_compute) options_.after_compute();
  if (computed.ok()) pool_.parallel_for(work_.size(), [&](std::size_t work) { take_logits(work); });
  std::size_t rows = 0;
  for (const Work& item : work_) rows += item.tokens.size();
  for (std::size_t i = 0; i < work_.size(); ++i) settle(i, rows, computed);
  drop_ended();
  if (options_.after_sweep) options_.after_sweep();
}

// The logits of one work item go to its job, up to where its guesses end to hold.
void Scheduler::take_logits(std::size_t work) {
  if (engine_.failure(work)) return;
  Running& run = *swept_[work];
  const std::span<const Engine::LogitRow> rows = engine_.logit_rows();
  const auto before = [](const Engine::LogitRow& row, std::size_t of) { return row.work < of; };
  const auto first = std::lower_bound(rows.begin(), rows.end(), work, before) - rows.begin();
  for (auto i = static_cast<std::size_t>(first); i < rows.size() && rows[i].work == work; ++i) {
    const std::size_t token = rows[i].token;
    const std::size_t position = run.line->tokens() + token;
    // Nothing that follows from damaged logits is an answer.
    Result<void> numbers = sampling::check_logits(engine_.logits(i), position);
    if (!numbers.ok()) {
      run.failed = std::move(numbers).error();
      return;
    }
    Result<std::optional<TokenId>> next =
        run.entry->job->take_logits(position, engine_.logits(i), workspaces_);
    if (!next.ok()) {
      run.failed = std::move(next).error();
      return;
    }
    if (token + 1 < run.rows || token + 1 == run.row_tokens.size()) continue;
    if (!*next || **next != run.row_tokens[token + 1]) return;
    ++run.accepted;
  }
}

// What a sweep of so many rows means for one of its lines.
void Scheduler::settle(std::size_t work, std::size_t rows, const Result<void>& computed) {
  Running& run = *swept_[work];
  const std::optional<Error>& failure = engine_.failure(work);
  if (failure || !computed.ok()) {
    if (run.line->is_damaged()) {
      if (!mend(run)) {
        end(run, fail(ErrorKind::io, failure ? failure->message : computed.error().message)
                     .within(fmt::format("keys and values from token {} on could not be read back "
                                         "{} times",
                                         run.line->tokens(), kAttempts)));
      }
      return;
    }
    end(run, failure ? *failure : computed.error());
    return;
  }
  if (run.failed) {
    end(run, *run.failed);
    return;
  }
  if (const std::size_t drafts = run.row_tokens.size() - run.rows; drafts > 0)
    run.entry->job->judge(drafts, run.accepted);
  // As the job has them: row_tokens may be of before it took the logits, and gone.
  run.line->commit(run.entry->job->tokens().subspan(run.line->tokens(), run.rows + run.accepted));
  const double share = static_cast<double>(work_[work].tokens.size()) / static_cast<double>(rows);
  if (!run.entry->job->swept(run.line->tokens(), share)) end(run, {});
}

// Goes back to before a damaged block, from where all is computed again; not for ever for the same
// one.
bool Scheduler::mend(Running& run) {
  const std::span<const TokenId> tokens = run.entry->job->tokens();
  const std::size_t left =
      run.line->mend(tokens.first(run.entry->terms.reuses ? tokens.size() - 1 : 0));
  if (++run.damaged[left] == kAttempts) return false;
  // It had shared blocks that others still hold, and none are free: it waits for a line again.
  Result<void> room = run.line->reserve(run.entry->terms.room);
  if (!room.ok() && run.own) {
    run.over = true;
    waiting_.add(std::move(run.entry));
  } else if (!room.ok()) {
    end(run, std::move(room));
  } else {
    run.entry->job->began(left);
  }
  return true;
}

}  // namespace ollm::engine
