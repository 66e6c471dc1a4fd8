// Both plans of a run in one: which backend and why, and where every byte will live. Nothing is
// loaded; of the weights no more is read than what tells whether a stored head is the embedding.
// Leaves to others: the parts (plan_reference.h, choose.h) and loading (runtime/).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/checkpoint/model_folder.h"
#include "ollm/io/environment.h"
#include "ollm/io/system_calls.h"
#include "ollm/machine/machine.h"
#include "ollm/plan/choose.h"
#include "ollm/plan/load_plan.h"
#include "ollm/plan/plan_reference.h"
#include "ollm/plan/plans.h"
#include "ollm/settings/settings.h"

namespace ollm::plan {

/// All that an execution plan is chosen from, beside the model.
struct ExecutionInputs {
  TextFiles text;
  Storage storage;
  machine::Machine machine;
  Wishes wishes;
  Workload workload;
};

struct PlannedRun {
  settings::RuntimeConfig config;  // as asked for
  io::Environment environment;
  Allowances allowances;
  PlannedReference reference;
  /// Nothing where no backend runs the model.
  std::optional<LoadPlan> execution;
  ExecutionInputs inputs;  // what it was chosen from
  /// Under which what is learned of the model's experts is kept; empty: it has none.
  std::string expert_history_key;

  const PlanDraft& runtime() const { return reference.selection.plan; }
  /// The folder that was inspected, nothing where there is none.
  const checkpoint::ModelFolder* folder() const;
  const models::Composition* composition() const;
};

struct RunInputs {
  settings::Settings settings;
  Workload workload;
  machine::Machine machine;
  io::Environment environment;
  Allowances allowances;
};

/// Equal inputs give equal plans, byte for byte in JSON.
/// Errors: those of plan_reference and choose; io, corrupt where a stored head cannot be read.
Result<PlannedRun> plan_run(const RunInputs& inputs, io::SystemCalls& calls = io::posix());

/// The execution plan of the same run with another budget; there must be one.
/// Errors: those of choose.
Result<LoadPlan> choose_again(const PlannedRun& run, std::uint64_t memory_bytes);

/// What runs instead, after a provider could not be applied to what was loaded.
struct FallbackRun {
  Selection selection;  // state fallback, and the generic composition
  LoadPlan execution;   // for that composition, from the same inputs
};

/// The generic backend's turn after a failure at apply time.
/// Errors: why it cannot take over, with the failure's in it: as fall_back, select_kv and choose;
/// out_of_budget; io, corrupt as in plan_run.
Result<FallbackRun> plan_fallback(const PlannedRun& failed, const SpecializationFailure& failure);

/// Whether the plan can run. Errors: why not: not_found, unsupported, corrupt; out_of_budget with
/// the ledger, the smallest budget that would do, and what would lower it.
Result<void> check_can_run(const PlannedRun& plan);

/// {runtime_config, resolved_model, runtime_plan, execution_plan}; the last is null where there is
/// no backend. Schema: docs/formats/plan.schema.json.
nlohmann::ordered_json plan_payload(const PlannedRun& plan);

}  // namespace ollm::plan
