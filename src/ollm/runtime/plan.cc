// Plans behind their handle, with the machine and the environment of this process.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "ollm/base/text_size.h"
#include "ollm/io/environment.h"
#include "ollm/plan/payloads.h"
#include "ollm/runtime/state.h"
#include "ollm/settings/payloads.h"

namespace ollm {
namespace {

constexpr int kIndent = 2;

// Pretty-printed; what is no UTF-8, as a path may be, gets replacement characters.
std::string text_of(const nlohmann::ordered_json& json, int indent = kIndent) {
  return json.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace

Plan::Plan(std::shared_ptr<const State> state) : state_(std::move(state)) {}

Result<Plan> make_plan(const Settings& settings, const Workload& workload,
                       const std::vector<std::string>& allow_config_keys) {
  OLLM_TRY_VOID(settings::check_settings(settings));
  plan::RunInputs inputs{settings, workload, machine::Machine::detect(),
                         io::Environment::of_process(), allow_config_keys};
  inputs.machine.profile = machine::load_profile(inputs.environment, inputs.machine.cpu_model,
                                                 inputs.machine.cores, io::posix());
  OLLM_TRY(plan::PlannedRun run, plan::plan_run(inputs));
  return Plan(std::make_shared<const Plan::State>(Plan::State{std::move(run)}));
}

std::string settings_json(const Settings& settings) {
  return text_of(settings::config_show_payload(settings));
}

const RuntimePlan& Plan::runtime_plan() const { return state_->run.runtime(); }

Result<void> Plan::check() const { return plan::check_can_run(state_->run); }

const Workload& Plan::workload() const {
  static const Workload kNone;
  return state_->run.execution ? state_->run.execution->workload : kNone;
}

std::vector<std::string> Plan::warnings() const {
  std::vector<std::string> out;
  if (!state_->run.execution) return out;
  for (const plan::Decision& decision : state_->run.execution->decisions)
    if (decision.what == "generation_config")
      out.push_back(fmt::format("{}: {}", decision.chosen, decision.because));
  return out;
}

std::string Plan::json() const { return text_of(plan::plan_payload(state_->run)); }

std::string Plan::runtime_plan_json() const { return runtime_plan().as_dict_json(); }

std::string Plan::execution_plan_json() const {
  return state_->run.execution ? text_of(plan::to_json(*state_->run.execution), -1) : "null";
}

}  // namespace ollm
