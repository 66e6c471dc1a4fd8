// Both plans of a model in a few lines, without loading it: what will run it and why, who holds how
// many bytes, how fast it should go. Usage: plan MODEL [BUDGET_MIB]
#include <cstdint>
#include <cstdlib>
#include <iostream>

#include "ollm/ollm.h"

static ollm::Result<void> tell(const char* model, const char* budget_mib) {
  ollm::Settings settings;
  settings.runtime.model_reference = model;
  if (budget_mib != nullptr) settings.runtime.memory = std::int64_t{std::atoi(budget_mib)} << 20;
  OLLM_TRY(const ollm::Plan plan, ollm::make_plan(settings, {.context_tokens = 512}));

  const ollm::RuntimePlan& runtime = plan.runtime_plan();
  std::cout << "backend: " << runtime.backend_id().value_or("none") << ", "
            << to_string(runtime.specialization_state()) << "\nreason: " << runtime.reason()
            << "\n";
  if (const auto planned = runtime.planned_specialization()) {
    for (const ollm::SpecializationPass& pass : planned->passes)
      std::cout << "pass: " << to_string(pass.pass_id) << ", " << pass.summary << "\n";
  }
  // A model that is not there, or does not fit, has a plan that says so; this is the error then.
  OLLM_TRY_VOID(plan.check());

  const ollm::ExecutionPlan& execution = *plan.execution_plan();
  for (const ollm::LedgerEntry& line : execution.memory.ledger)
    std::cout << "memory: " << line.owner << " " << line.bytes << " (" << line.phase << ")\n";
  std::cout << "read for each token: " << execution.weights.streamed_bytes << " bytes\n"
            << "bound by: " << execution.estimate.bound_by << "\n";
  for (const ollm::Decision& decision : execution.decisions)
    std::cout << decision.what << " = " << decision.chosen << ": " << decision.because << "\n";

  std::cout << runtime.as_dict().json(2) << "\n";  // 16 keys, always in this order
  return {};
}

int main(int argc, char** argv) {
  if (argc != 2 && argc != 3) return std::cerr << "usage: plan MODEL [BUDGET_MIB]\n", 2;
  const ollm::Result<void> told = tell(argv[1], argc == 3 ? argv[2] : nullptr);
  if (!told.ok()) std::cerr << "plan: " << told.error().message << "\n";
  return told.ok() ? 0 : 1;
}
