// Plans behind their handle, with the machine and the environment of this process.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "ollm/base/text_size.h"
#include "ollm/plan/payloads.h"
#include "ollm/runtime/state.h"

namespace ollm {
namespace {

constexpr int kIndent = 2;

}  // namespace

Plan::Plan(std::shared_ptr<const State> state) : state_(std::move(state)) {}

Result<Plan> make_plan(const Settings& settings, const Workload& workload,
                       const std::vector<std::string>& allow_config_keys) {
  OLLM_TRY_VOID(plan::check_settings(settings));
  plan::RunInputs inputs{settings, workload, plan::Machine::detect(),
                         plan::Environment::of_process(), allow_config_keys};
  OLLM_TRY(plan::PlannedRun run, plan::plan_run(inputs));
  return Plan(std::make_shared<const Plan::State>(Plan::State{std::move(run)}));
}

std::string settings_json(const Settings& settings) {
  return plan::config_show_payload(settings).dump(kIndent);
}

const RuntimePlan& Plan::runtime_plan() const { return state_->run.runtime(); }

Result<void> Plan::check() const { return plan::check_can_run(state_->run); }

const Workload& Plan::workload() const {
  static const Workload kNone;
  return state_->run.execution ? state_->run.execution->workload : kNone;
}

std::string Plan::json() const { return plan::plan_payload(state_->run).dump(kIndent); }

std::string Plan::runtime_plan_json() const { return runtime_plan().as_dict_json(); }

std::string Plan::execution_plan_json() const {
  return state_->run.execution ? plan::to_json(*state_->run.execution).dump() : "null";
}

std::string Plan::explain() const {
  const RuntimePlan& runtime = runtime_plan();
  std::string out = fmt::format("{}: {}\n", runtime.resolved_model.reference.raw, runtime.reason);
  if (!state_->run.execution) return out;
  const plan::ExecutionPlan& execution = *state_->run.execution;
  out += fmt::format("backend {} ({}), compute {}, isa {}, {} threads, prefill chunk {}\n",
                     runtime.backend_id.value_or("none"), to_string(runtime.support_level),
                     to_string(execution.backend.compute), to_string(execution.backend.isa),
                     execution.threads, execution.engine.max_rows);
  out += fmt::format("memory: {} of {}{}\n", format_bytes(execution.memory.peak_bytes()),
                     format_bytes(execution.budget_bytes),
                     execution.fits ? ""
                                    : fmt::format(", which does NOT fit; {} MiB would do",
                                                  execution.minimum_bytes >> 20));
  for (const memory::LedgerLine& line : execution.memory.lines()) {
    out += fmt::format("  {:<14} {:>12}  {}\n", line.owner, format_bytes(line.bytes),
                       to_string(line.phase));
  }
  const plan::Estimate& estimate = execution.estimate;
  out += fmt::format(
      "speed: prefill {:.1f} tok/s, decode {:.2f} tok/s (bound by {}), first token after {:.2f} "
      "s\n",
      estimate.prefill_tokens_per_second, estimate.decode_tokens_per_second, estimate.bound_by,
      estimate.time_to_first_token_s);
  for (const plan::Decision& decision : execution.decisions)
    out += fmt::format("  {} = {}: {}\n", decision.what, decision.chosen, decision.because);
  return out;
}

}  // namespace ollm
