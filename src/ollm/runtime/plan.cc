// Plans behind their handle, with the machine and the environment of this process.
#include <fmt/format.h>

#include <algorithm>

#include "ollm/base/value_document.h"
#include "ollm/io/environment.h"
#include "ollm/runtime/state.h"
#include "ollm/settings/payloads.h"

namespace ollm {
Plan::Plan(std::shared_ptr<const State> state) : state_(std::move(state)) {}

Result<Plan> make_plan(const Settings& settings, const Workload& workload,
                       const Allowances& allowances) {
  OLLM_TRY_VOID(settings::check_settings(settings));
  plan::RunInputs inputs{settings, workload, machine::Machine::detect(),
                         io::Environment::of_process(), allowances};
  inputs.machine.profile = machine::load_profile(inputs.environment, inputs.machine.cpu_model,
                                                 inputs.machine.cores, io::posix());
  OLLM_TRY(plan::PlannedRun run, plan::plan_run(inputs));
  return Plan(std::make_shared<const Plan::State>(std::move(run)));
}

Result<Plan> make_longest_plan(const Settings& settings, const Workload& workload,
                               const Allowances& allowances) {
  constexpr std::size_t kLeastContext = 512;  // whose half is not worth a plan
  OLLM_TRY(const Plan any,
           make_plan(settings, {.prompt_tokens = 1, .max_new_tokens = 1}, allowances));
  OLLM_TRY_VOID(any.check());
  std::size_t context = any.execution_plan()->model.usable_positions;
  const auto& wanted = settings.runtime.context;
  if (wanted) context = std::min(context, static_cast<std::size_t>(*wanted));
  for (context = std::max<std::size_t>(context, 2);; context /= 2) {
    Workload longest = workload;
    longest.context_tokens = context;
    longest.prompt_tokens = std::clamp<std::size_t>(workload.prompt_tokens, 1, context / 2);
    longest.max_new_tokens = std::min(workload.max_new_tokens, context / 2);
    OLLM_TRY(Plan plan, make_plan(settings, longest, allowances));
    Result<void> fits = plan.check();
    if (fits.ok()) return plan;
    if (wanted || context / 2 < kLeastContext || fits.error().kind != ErrorKind::out_of_budget)
      return std::move(fits).error();
  }
}

Value settings_as_dict(const Settings& settings) {
  return make_value(settings::config_show_payload(settings));
}

const RuntimePlan& Plan::runtime_plan() const { return state_->runtime_plan; }

const std::optional<ExecutionPlan>& Plan::execution_plan() const { return state_->execution_plan; }

Result<void> Plan::check() const { return plan::check_can_run(state_->run); }

const Workload& Plan::workload() const {
  static const Workload kNone;
  return state_->run.execution ? state_->run.execution->workload : kNone;
}

std::vector<std::string> Plan::warnings() const {
  std::vector<std::string> out;
  if (!state_->run.execution) return out;
  for (const Decision& decision : state_->run.execution->decisions)
    if (decision.what == "generation_config")
      out.push_back(fmt::format("{}: {}", decision.chosen, decision.because));
  return out;
}

Value Plan::as_dict() const { return make_value(plan::plan_payload(state_->run)); }

std::string Plan::json() const { return as_dict().json(kJsonIndent); }

}  // namespace ollm
