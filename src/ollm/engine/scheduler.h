// Many lines in one sweep: which run, how many rows of the next sweep each has, and what becomes of
// what the sweep gives. Token ids only. Leaves to others: how a token is chosen and what it reads
// as (job.h), how a sweep is computed (engine.h).
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "ollm/base/callback.h"
#include "ollm/base/thread_pool.h"
#include "ollm/engine/draft_depth.h"
#include "ollm/engine/engine.h"
#include "ollm/engine/row_shares.h"
#include "ollm/engine/waiting_jobs.h"
#include "ollm/kv/line.h"
#include "ollm/sampling/workspaces.h"

namespace ollm::engine {

/// Runs jobs, as many at once as there are lines for. Any thread may submit; there is no thread of
/// its own: whoever waits drives it, one thread at a time, and sweeps for all (`run_until`).
///
/// Every line that runs has a row in every sweep; rows that are left go to those of the highest
/// priority, of them to those that came first. What waits for a line is taken as WaitingJobs says:
/// at most kMostOvertakes that came later go before it.
///
/// No bit of an answer depends on which other jobs run, nor on when they came or went: logits do
/// not depend on the rows beside them.
class Scheduler {
 public:
  struct Options {
    std::size_t lines = 1;  // at once; no more than a sweep has rows and logits
    SpeculationOptions speculation = {};
    /// Whether a line that is put aside is found again, so that it may be: by name, in the pool.
    std::function<bool()> finds_again = {};
    /// Before what is stored of so many tokens is looked up, and after each sweep.
    std::function<void(std::size_t tokens)> before_lookup = {};
    std::function<void()> after_sweep = {};
    /// When a sweep was computed, before its jobs hear of it.
    std::function<void()> after_compute = {};
  };

  /// All must outlive it.
  Scheduler(Engine& engine, kv::Store& store, ThreadPool& pool, Options options);
  ~Scheduler();

  /// Any thread. A line that is lent must stay alone with the job until `ended`.
  void submit(std::shared_ptr<Job> job, const Terms& terms);

  /// Sweeps on this thread, or waits while another does, until `enough`, which is asked before
  /// each sweep and must not call the scheduler, or until nothing is left to run.
  void run_until(FunctionRef<bool()> enough);
  /// Ends the jobs that nobody wants any more, if no sweep runs at this moment.
  void try_to_end_cancelled();

  /// The right to use engine, store and lines, which no sweep does meanwhile.
  class Owner {
   public:
    explicit Owner(Scheduler& scheduler);
    ~Owner();
    Owner(const Owner&) = delete;
    Owner& operator=(const Owner&) = delete;

   private:
    Scheduler& scheduler_;
    bool within_ = false;  // another one of this thread
  };

  /// Whether this thread drives, or is an Owner: what waits for another's sweep would wait for
  /// itself.
  bool driven_here();

  /// Lines that run, and jobs that wait; by who has the right of an Owner.
  std::size_t running() const { return running_.size(); }
  std::size_t waiting() const { return waiting_.size(); }

 private:
  // A job with its line.
  struct Running {
    std::unique_ptr<Entry> entry;
    std::optional<kv::Line> own;
    kv::Line* line = nullptr;
    std::map<std::size_t, int> damaged;  // attempts, by the first token that is computed again
    // of the sweep that runs
    std::vector<TokenId> drafted;  // the last certain token with the guesses behind it
    std::span<const TokenId> row_tokens;
    std::size_t rows = 0;      // that are certain
    std::size_t accepted = 0;  // guesses behind them that hold
    std::optional<Error> failed;
    bool over = false;
  };

  // A line that runs, and how many of a job's first tokens it has, or will have by and by.
  struct Donor {
    const Running* run = nullptr;  // null: none that is worth sharing with
    std::size_t common = 0;
  };

  void drive();
  void leave();
  bool step();
  void take_arrivals();
  void end_cancelled();
  void admit();
  WaitingJobs::Fit try_to_begin(Entry& entry, Running& made);
  Donor best_donor(const Entry& entry) const;
  bool waits_for_another(const Entry& entry) const;
  static WaitingJobs::Fit no_room_for(const Entry& entry);
  std::optional<std::size_t> whom_to_put_aside(const Entry& entry) const;
  bool finds_again() const { return options_.finds_again && options_.finds_again(); }
  void put_aside(std::size_t index);
  bool lay_out(bool also_resting);
  std::size_t draft_rows() const;
  void add_drafts(Running& run, std::size_t most);
  void sweep();
  void take_logits(std::size_t work);
  void settle(std::size_t work, std::size_t rows, const Result<void>& computed);
  bool mend(Running& run);
  void end(Running& run, Result<void> how);
  void drop_ended();

  Engine& engine_;
  kv::Store& store_;
  ThreadPool& pool_;
  const Options options_;
  const std::size_t lines_;
  sampling::Workspaces workspaces_;

  std::mutex mutex_;
  std::condition_variable changed_;
  // guarded by mutex_
  std::vector<std::unique_ptr<Entry>> arrivals_;
  std::uint64_t next_arrival_ = 0;
  bool driven_ = false;
  std::thread::id driver_;  // where driven_
  std::size_t owners_waiting_ = 0;

  // of who drives
  WaitingJobs waiting_;
  std::vector<std::unique_ptr<Entry>> put_aside_;  // on their way back to waiting_
  std::vector<std::unique_ptr<Running>> running_;  // by priority, then arrival
  std::vector<RowShare> shares_;
  std::vector<Work> work_;
  std::vector<Running*> swept_;  // of each work item
};

}  // namespace ollm::engine
