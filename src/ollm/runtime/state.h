// What stands behind the handles of ollm.h: the loaded model and everything that its sessions
// share.
#pragma once

#include <unistd.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "ollm/backend/backend.h"
#include "ollm/base/thread_pool.h"
#include "ollm/checkpoint/generation_config.h"
#include "ollm/engine/engine.h"
#include "ollm/engine/scheduler.h"
#include "ollm/io/read_queue.h"
#include "ollm/kv/line.h"
#include "ollm/memory/budget.h"
#include "ollm/ollm.h"
#include "ollm/plan/plan_run.h"
#include "ollm/runtime/kept_kv.h"
#include "ollm/sampling/sampler.h"
#include "ollm/text/template/chat_template.h"
#include "ollm/text/template/template_source.h"
#include "ollm/text/tokenizer.h"
#include "ollm/weights/tape.h"

namespace ollm {

struct Plan::State {
  explicit State(plan::PlannedRun planned) : run(std::move(planned)), runtime_plan(run.runtime()) {
    if (run.execution) execution_plan = plan::execution_plan(*run.execution);
  }

  plan::PlannedRun run;
  RuntimePlan runtime_plan;
  std::optional<ExecutionPlan> execution_plan;  // nothing where no backend runs the model
};

namespace runtime {

/// What reading and writing had cost at a moment, or between two.
struct DiskCost {
  weights::StreamCost weights;
  kv::StoreCounters kv;

  void add(const DiskCost& other, double share);
  void subtract(const DiskCost& earlier);
};

}  // namespace runtime

struct Text::State {
  text::Tokenizer tokenizer;
  text::ChatTemplateSources templates;    // by name
  nlohmann::ordered_json special_tokens;  // bos_token, eos_token, ...
};

struct Runtime::State {
  explicit State(std::shared_ptr<const Plan::State> planned)
      : plan(std::move(planned)), budget(plan->run.execution->budget_bytes) {}

  ~State() {
    scheduler.reset();
    keep_expert_history();
    end_kv();
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  // Makes durable what is to be kept; why some of it is not.
  Result<void> keep() {
    if (refused_kv) return *refused_kv;
    if (kept_kv && kv) return kept_kv->keep();
    return {};
  }
  void end_kv() {
    if (kept_kv && kept_kv->in_child()) {
      // Their threads are in the process that was forked, and so is what they keep.
      (void)kv.release();
      (void)kept_kv.release();
      return;
    }
    (void)keep();
    kv.reset();
    kept_kv.reset();
  }

  // What was learned of a mixture's experts, for later runs; who cannot keep it learns it anew.
  void keep_expert_history() const;

  const plan::LoadPlan& execution() const {
    return fallback ? fallback->execution : *plan->run.execution;
  }
  const models::Composition& composition() const {
    return fallback ? *fallback->selection.composition : *plan->run.composition();
  }

  // constant after load
  std::shared_ptr<const Plan::State> plan;    // shared: the composition lives there
  std::optional<plan::FallbackRun> fallback;  // what runs instead of what was planned
  RuntimePlan runtime_plan;
  std::vector<Decision> load_decisions;  // where the system gave less than was planned
  std::optional<Error> refused_kv;       // why nothing can be stored, where that was planned
  std::optional<Text> text;
  checkpoint::GenerationConfig generation;
  std::vector<TokenId> end_tokens;
  double load_s = 0;
  pid_t loaded_by = ::getpid();

  // used by one thread at a time
  memory::Budget budget;
  std::unique_ptr<ThreadPool> pool;
  std::unique_ptr<backend::Backend> backend;
  std::unique_ptr<io::ReadQueue> reads;  // of all that is streamed
  std::unique_ptr<weights::Tape> tape;
  std::vector<memory::Charge> charges;       // of what is not a buffer: process, tokenizer
  std::unique_ptr<runtime::KeptKv> kept_kv;  // null where no block goes to disk
  std::unique_ptr<kv::Store> kv;
  std::unique_ptr<engine::Engine> engine;

  runtime::DiskCost cost_told;                   // to those whose it was
  runtime::DiskCost sweep_cost;                  // of the last sweep
  std::unique_ptr<engine::Scheduler> scheduler;  // goes first
};

namespace runtime {

/// That this process and this thread may use the runtime now. Errors: unsupported in a child of the
/// process that loaded it, where keys and values are on disk; invalid_argument from a callback of a
/// call that has a Turn.
Result<void> check_may_call(Runtime::State& state);

/// The right to use what one thread uses at a time, between two sweeps.
class Turn {
 public:
  explicit Turn(Runtime::State& state);

 private:
  std::optional<engine::Scheduler::Owner> owner_;  // none where nothing runs: in a forked child
};

class Answer;

/// An answer among those that run; ended, whatever becomes of who waits for it.
class Submitted {
 public:
  Submitted(Runtime::State& state, std::shared_ptr<Answer> answer, const engine::Terms& terms);
  ~Submitted();
  Submitted(const Submitted&) = delete;
  Submitted& operator=(const Submitted&) = delete;

 private:
  Runtime::State& state_;
  const std::shared_ptr<Answer> answer_;
};

/// The report of a run that took `prefill_s` for `prefilled` tokens and `decode_s` for `decoded`
/// tokens in `decode_sweeps` sweeps.
struct Timing {
  double prefill_s = 0;
  double decode_s = 0;
  double first_token_s = 0;
  std::size_t prefilled = 0;
  std::size_t decoded = 0;
  std::size_t decode_sweeps = 0;
  std::uint64_t decode_sweep_bytes = 0;  // that these sweeps read, for all lines in them
  DiskCost prefill_cost, decode_cost;    // its own
};
DiskCost disk_cost(const Runtime::State& state);
/// What it cost since this was last asked.
DiskCost take_cost(Runtime::State& state);
Report make_report(const Runtime::State& state, const Timing& timing);

}  // namespace runtime
}  // namespace ollm
